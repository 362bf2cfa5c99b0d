"""Files and folders that options name: whether they are there. It is asked before anything is opened or started."""

from __future__ import annotations

import os
from collections.abc import Iterable

from gracehttp.config.model import ServerOptions
from gracehttp.errors import ConfigurationError


def check_working_directory(directory: str) -> None:
    """Raise `ConfigurationError` if the program was started in a folder that was deleted, so `directory` is empty."""
    if not directory:
        raise ConfigurationError(
            "the working directory was deleted, and a service starts its workers in it.",
            hint="cd to a folder that exists, and start again there",
        )


def check_program_file(*, is_typed_in: bool) -> None:
    """Raise `ConfigurationError` if there is no file that workers could run."""
    if is_typed_in:
        raise ConfigurationError(
            "this script comes from standard input, so it can't be run a second time, and each worker runs it again.",
            hint="write it to a file, and run that: python script.py",
        )


def app_dir_path(path: str) -> str:
    """The absolute path of the folder that applications are imported from. Raises `ConfigurationError` if it is
    relative to a working directory that was deleted."""
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        raise ConfigurationError(
            f"the application directory {path!r} is relative to the working directory, and that was deleted.",
            hint="cd to a folder that exists, or give an absolute --app-dir",
        ) from None


def check_app_dir(path: str) -> None:
    """Raise `ConfigurationError` if applications are to be imported from a folder that isn't there."""
    absolute = app_dir_path(path)
    if not os.path.isdir(absolute):
        wrong = "is no directory" if os.path.exists(absolute) else "does not exist"
        raise ConfigurationError(f"the application directory {absolute} {wrong}.", hint="see --app-dir")


def check_certificates(servers: Iterable[ServerOptions]) -> None:
    """Raise `ConfigurationError` if a certificate or key isn't there. `net.certificates` tells what is in it."""
    for server in servers:
        for option, path in (("certfile", server.certfile), ("keyfile", server.keyfile)):
            if path is not None and not os.path.exists(path):
                raise ConfigurationError(f"the {option} {path} does not exist.", hint=f"see --{option}")
