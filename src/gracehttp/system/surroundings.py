"""The folder and the umask of this process."""

from __future__ import annotations

import os
import sys

from gracehttp.errors import ConfigurationError
from gracehttp.hints import Named, hint


def leave_out_the_working_directory() -> None:
    """`python -m` has put the working directory at the head of `sys.path` (unless `-P`). Modules of the application are
    looked for where the program `gracehttp` would look: in the application directory, then where Python looks."""
    try:
        here = os.getcwd()
    except FileNotFoundError:  # deleted (getcwd(3))
        here = ""
    # A debugger that runs the module may have another path there.
    if not getattr(sys.flags, "safe_path", False) and sys.path and sys.path[0] in {"", here}:
        del sys.path[0]


def enter(folder: str | None, umask: int | None) -> None:
    """Change to `folder` and set `umask`; None leaves either as it is. Raises `ConfigurationError`."""
    if umask is not None:
        os.umask(umask)
    if folder is not None:
        try:
            os.chdir(folder)
        except OSError as exc:
            raise ConfigurationError(
                f"cannot change to the folder {folder}: {exc.strerror}.", hint=hint("see {}", Named("chdir"))
            ) from None
