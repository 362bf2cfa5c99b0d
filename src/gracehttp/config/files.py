"""Files and folders that options name: whether they are there. It is asked before anything is opened or started."""

from __future__ import annotations

import os
from collections.abc import Iterable

from gracehttp.config.model import ServerOptions
from gracehttp.errors import ConfigurationError


def check_app_dir(path: str) -> None:
    """Raise `ConfigurationError` if applications are to be imported from a folder that isn't there."""
    absolute = os.path.abspath(path)
    if not os.path.isdir(absolute):
        raise ConfigurationError(f"the application directory {absolute} does not exist.", hint="see --app-dir")


def check_certificates(servers: Iterable[ServerOptions]) -> None:
    """Raise `ConfigurationError` if a certificate or key isn't there. What is in it is for `gracehttp.tls` to tell."""
    for server in servers:
        for option, path in (("certfile", server.certfile), ("keyfile", server.keyfile)):
            if path is not None and not os.path.exists(path):
                raise ConfigurationError(f"the {option} {path} does not exist.", hint=f"see --{option}")
