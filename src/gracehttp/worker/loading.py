"""Importing the applications of one program, each once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from gracehttp.config import ServerOptions
from gracehttp.config.checks import app_dir_path
from gracehttp.interfaces.importer import LoadedApplication, add_app_dir, load_application


@dataclass(frozen=True, slots=True)
class Named:
    """What a server says of its application: an import string or the object itself, and how to read it."""

    target: object
    factory: bool
    interface: str

    @property
    def key(self) -> Hashable:
        """The same for servers that share one application."""
        return (self.target if isinstance(self.target, str) else id(self.target), self.factory, self.interface)


def application_of(server: ServerOptions) -> Named:
    return Named(server.app, server.factory, server.interface)


class ApplicationLoader:
    """Remembers what it has loaded, so that a process that loads early has it when it serves.

    `app_dir` is where applications are imported from, None to leave `sys.path` alone.
    """

    def __init__(self, app_dir: str | None) -> None:
        # Absolute, because the first application may change the working directory before the second one is loaded.
        self._app_dir = app_dir_path(app_dir) if app_dir is not None else None
        self._loaded: dict[Hashable, LoadedApplication] = {}

    def load(self, named: Named) -> LoadedApplication:
        """The application that a server names. Raises `ApplicationNotFound` or `ConfigurationError`."""
        if named.key not in self._loaded:
            if isinstance(named.target, str) and self._app_dir is not None:
                add_app_dir(self._app_dir)
            self._loaded[named.key] = load_application(named.target, factory=named.factory, interface=named.interface)
        return self._loaded[named.key]

    def load_all(self, servers: Iterable[ServerOptions], on_stage: Callable[[str], None]) -> None:
        """The applications of all `servers`. Raises as `load` does. `on_stage` is told what begins."""
        for named in map(application_of, servers):
            if named.key not in self._loaded:
                on_stage(f"importing {named.target if isinstance(named.target, str) else 'the application'}")
            self.load(named)
