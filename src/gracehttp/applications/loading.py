"""The import of a program's applications, each once per process."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from gracehttp.applications.importer import LoadedApplication, add_app_dir, load_application, with_functions
from gracehttp.config import ServerOptions
from gracehttp.config.checks import app_dir_path
from gracehttp.values import Value


class ApplicationReference(Value):
    """What the options of a server say of its application: an import string or the object itself, and how to read it.

    `target`, `factory` and `interface` are as in `load_application`. `startup` and `shutdown` are functions of a WSGI
    application, or their import strings.
    """

    target: object
    factory: bool
    interface: str
    startup: object = None
    shutdown: object = None

    @property
    def key(self) -> Hashable:
        """The same for servers that share one application."""
        objects = (self.target, self.startup, self.shutdown)
        names = (one if isinstance(one, str) or one is None else id(one) for one in objects)
        return (*names, self.factory, self.interface)


def application_of(server: ServerOptions) -> ApplicationReference:
    """The reference in the options of `server`."""
    return ApplicationReference(server.app, server.factory, server.interface, server.startup, server.shutdown)


class ApplicationLoader:
    """Remembers what it has loaded. So a template can load before it forks the workers that serve.

    `app_dir` is the directory that applications are imported from. With None `sys.path` stays as it is.
    """

    def __init__(self, app_dir: str | None) -> None:
        # Absolute, because the first application may change the working directory before the second one is loaded.
        self._app_dir = app_dir_path(app_dir) if app_dir is not None else None
        self._loaded: dict[Hashable, LoadedApplication] = {}

    def load(self, reference: ApplicationReference) -> LoadedApplication:
        """The application behind `reference`. Raises `ApplicationNotFound` or `ConfigurationError`."""
        loaded = self._loaded.get(reference.key)
        if loaded is None:
            target = reference.target
            if isinstance(target, str) and self._app_dir is not None:
                add_app_dir(self._app_dir)
            loaded = load_application(target, factory=reference.factory, interface=reference.interface)
            loaded = with_functions(loaded, reference.startup, reference.shutdown)
            self._loaded[reference.key] = loaded
        return loaded

    def load_all(self, servers: Iterable[ServerOptions], on_stage: Callable[[str], None]) -> None:
        """Load the applications of all `servers`. Raises as `load` does. `on_stage` is called before each import."""
        for server in servers:
            reference = application_of(server)
            if reference.key not in self._loaded:
                target = reference.target
                on_stage(f"importing {target if isinstance(target, str) else 'the application'}")
            prepare(server, self.load(reference).interface)


def prepare(server: ServerOptions, interface: str) -> None:
    """Import what serves an application of this `interface`, and the clients of `server`: a process must have all of
    its own code before it forks workers, and before it is ready. The folder of its release may go, or have another
    release in it."""
    if interface == "wsgi":  # all others need none of it
        import gracehttp.applications.wsgi.modes
    import gracehttp.applications.asgi.application  # noqa: F401  workers of WSGI rehearse with it
    from gracehttp.http import negotiation
    from gracehttp.http.settings import settings_of

    negotiation.prepare(settings_of(server), secure=bool(server.certfile), websockets=interface != "wsgi")
