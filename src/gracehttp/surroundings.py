"""The folder, the umask and the variables that options give to a process."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from gracehttp.config import ProcessOptions
from gracehttp.config.env_file import completed
from gracehttp.errors import ConfigurationError
from gracehttp.hints import Named, hint


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
