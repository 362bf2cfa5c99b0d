"""The folder, the umask and the variables that options give to a process."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping

from gracehttp.config import ProcessOptions
from gracehttp.config.env_file import completed
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


def enter(process: ProcessOptions, environ: MutableMapping[str, str] | None = None) -> None:
    """Change to the folder and the umask that `process` names. `environ` gets the variables of its files, which are
    found before that. Raises `ConfigurationError`."""
    if environ is not None and process.env_file:
        environ.update(completed(environ, process.env_file))
    if process.umask is not None:
        os.umask(process.umask)
    if process.chdir is not None:
        try:
            os.chdir(process.chdir)
        except OSError as exc:
            raise ConfigurationError(
                f"cannot change to the folder {process.chdir}: {exc.strerror}.", hint=hint("see {}", Named("chdir"))
            ) from None
