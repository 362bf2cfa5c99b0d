"""Which files a reload is about. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from gracehttp.values import Value

ALWAYS_INCLUDED = ("*.py",)
ALWAYS_EXCLUDED = (
    "__pycache__", ".git", ".hg", ".svn", ".venv", "venv", "node_modules", "site-packages", ".tox", ".nox",
    ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".idea", ".vscode", ".eggs", "*.egg-info", ".#*",
)  # fmt: skip


class Selection(Value):
    """The patterns of `--reload-include` and `--reload-exclude`, which are added to the two above.

    A pattern without a slash is for the name of a file, or of a folder with all that is in it. One with a slash is for
    the path below the watched folder. `*` stands for any characters, slashes too, and `**/` for any folders or none.
    What is excluded isn't included.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, path: str) -> bool:
        """Whether a change of the file `path` counts. The path is relative to the watched folder."""
        return not self.excludes(path) and _match((*ALWAYS_INCLUDED, *self.include), path)

    def excludes(self, path: str) -> bool:
        """Whether the file `path` never counts, or nothing in the folder `path`."""
        return _match((*ALWAYS_EXCLUDED, *self.exclude), path)


def _match(patterns: Iterable[str], path: str) -> bool:
    """Whether one of `patterns` matches `path`, or a folder on the way to it."""
    names = path.split("/")
    heads = ["/".join(names[:count]) for count in range(1, len(names) + 1)]
    for pattern in patterns:
        whole = pattern.strip("/").removeprefix("./")
        spelled = {whole, whole.replace("**/", "")}
        if any(fnmatchcase(text, one) for one in spelled for text in (heads if "/" in whole else names)):
            return True
    return False
