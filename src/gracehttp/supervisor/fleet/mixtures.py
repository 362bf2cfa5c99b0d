"""What to do when the workers of a generation don't run the same code: files changed while it started. Pure."""

from __future__ import annotations

from gracehttp.supervisor.fleet.inputs import WorkerDiffers

MOST_STARTS = 3
"""How many first generations may come to differ before the start fails. The copying of files needs time. A difference
that comes each time is an application that writes its own modules."""

HINT = (
    "restart again when the new code is in place; deploys that switch a link, or --preload, leave no such moment "
    "(docs/deploying.md)"
)
FIRST_START_HINT = (
    "start again when the new code is in place; if the application writes its own modules while it is imported, "
    "--preload imports it once"
)

_NAMED_FILES = 3


def difference(found: WorkerDiffers, first: int) -> str:
    """The rest of a sentence that begins with the worker: what it has imported. `first` is the first worker of its
    generation."""
    files = list(found.files[:_NAMED_FILES])
    more = found.more + len(found.files) - len(files)
    if more:
        files.append(f"{more} more file{'s' * (more > 1)}")
    named = files[0] if len(files) == 1 else f"{', '.join(files[:-1])} and {files[-1]}"
    if found.alone:
        return f"imported {named} before a change, and other files after it, which came while the generation started"
    return f"imported other code than worker {first}: {named} changed while the generation started"
