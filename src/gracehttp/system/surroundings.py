"""The folder and the umask of this process."""

from __future__ import annotations

import os

from gracehttp.errors import ConfigurationError
from gracehttp.hints import Named, hint


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
