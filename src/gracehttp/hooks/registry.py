"""Which function is called at which event."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from gracehttp import events
from gracehttp.errors import ConfigurationError, GraceHTTPError, StartError
from gracehttp.events import Event, WorkerStage
from gracehttp.observe.tracebacks import application_frames, application_traceback, reason_of

Hook = Callable[[Any], object]
E = TypeVar("E", bound=Event)

_NAMES = {
    re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): getattr(events, name)
    for name in events.__all__
    if name not in ("Severity", "WorkerStage")
}
"""Events by the name that they have in a file."""


class Hooks:
    """Functions by event. One for a class of events is called for all of its subclasses."""

    def __init__(self) -> None:
        self._hooks: list[tuple[type[Event], Hook | str]] = []

    def add(self, event: type[Event], hook: Hook | str) -> None:
        """`hook` may be an import string, `module:function`. Raises `ConfigurationError`."""
        if not (inspect.isclass(event) and issubclass(event, Event)):
            raise ConfigurationError(f"{event!r} is no event.", hint="events are the classes in gracehttp.events")
        if isinstance(hook, str):
            module, _, function = hook.partition(":")
            if not all(name.isidentifier() for name in (*module.split("."), *function.split("."))):
                raise ConfigurationError(
                    f"the hook {hook!r} is no import string.", hint="write module:function, such as hooks:on_exit"
                )
        else:
            _check_function(hook)
        self._hooks.append((event, hook))

    def add_named(self, name: str, hook: object, place: str) -> None:
        """As `add`, for the entry of a file at `place`. Raises `ConfigurationError`."""
        if name not in _NAMES:
            from difflib import get_close_matches  # read only where something is wrong

            near = get_close_matches(name, _NAMES, n=1)
            raise ConfigurationError(
                f"there is no event {name!r} ({place}).",
                hint=f"did you mean {near[0]}?" if near else "docs/hooks.md lists the events",
            )
        for one in hook if isinstance(hook, list) else [hook]:
            if not isinstance(one, str):
                raise ConfigurationError(
                    f"the hook of {name} is {one!r} ({place}).", hint='write a name such as "module:function"'
                )
            self.add(_NAMES[name], one)

    @property
    def outside_workers(self) -> tuple[str, ...]:
        """The names of the events that have a hook, without the stages of a worker."""
        return tuple(dict.fromkeys(one.__name__ for one, _ in self._hooks if not issubclass(one, WorkerStage)))

    @property
    def named(self) -> tuple[str, ...]:
        """The hooks that are import strings, each once."""
        return tuple(dict.fromkeys(hook for _, hook in self._hooks if isinstance(hook, str)))

    def of(self, event: Event) -> Iterator[Hook | str]:
        """Those for `event`, in the order in which they were added."""
        return (hook for kind, hook in self._hooks if isinstance(event, kind))

    def at_stage(self, stage: WorkerStage, app_dir: str) -> None:
        """Call the hooks for a stage of this worker. Raises `StartError` if one can't be imported, or raises."""
        for hook in self.of(stage):
            name = hook if isinstance(hook, str) else name_of(hook)
            function = found(hook, app_dir)
            try:
                function(stage)
            except BaseException as exc:
                raise StartError(f"the hook {name} raised {type(exc).__name__}: {exc}.") from exc


def names_of(event: Event) -> set[str]:
    """The names under which `outside_workers` may have a hook for `event`."""
    return {one.__name__ for one in type(event).__mro__}


def found(hook: Hook | str, app_dir: str) -> Hook:
    """The function itself. Raises `StartError` if it can't be loaded, and `ConfigurationError` if it is no hook."""
    if not isinstance(hook, str):
        return hook
    folder = os.path.abspath(app_dir)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module, _, path = hook.partition(":")
    function = _imported(hook, module, folder)
    for name in path.split("."):
        try:
            function = getattr(function, name)
        except AttributeError:
            from difflib import get_close_matches  # read only where something is wrong

            near = get_close_matches(name, [one for one in dir(function) if not one.startswith("_")], n=1)
            source = getattr(sys.modules[module], "__file__", None) or "a namespace package"
            raise StartError(
                f"the hook {hook} can't be loaded: the module {module} ({source}) has no {path!r}.",
                hint=f"did you mean {near[0]}?" if near else "write module:function, as the module has it",
            ) from None
    _check_function(function, hook)
    return function  # type: ignore[no-any-return]  # whatever the module has there, it was checked to be callable


def _imported(hook: str, module: str, folder: str) -> Any:
    try:
        return importlib.import_module(module)
    except GraceHTTPError:
        raise
    except BaseException as exc:
        own = application_frames(exc.__traceback__) is not None
        missing = exc.name if isinstance(exc, ModuleNotFoundError) else None
        if missing is not None and not own and (module == missing or module.startswith(missing + ".")):
            raise StartError(
                f"the hook {hook} can't be loaded: there is no module {missing!r}.",
                hint=f"modules are looked for in {folder} (app_dir), then where Python looks",
            ) from None
        raise StartError(
            f"the hook {hook} can't be loaded: its module raised {type(exc).__name__}{reason_of(exc)}.",
            hint="" if own else "try it: python -c 'import " + module + "'",
            details=application_traceback(exc) if own else "",
        ) from exc


def name_of(hook: Hook) -> str:
    return f"{getattr(hook, '__module__', '?')}:{getattr(hook, '__qualname__', repr(hook))}"


def _check_function(hook: object, name: str = "") -> None:
    if not callable(hook):
        raise ConfigurationError(
            f"the hook {name or repr(hook)} can't be called.", hint="give a function that takes the event"
        )
    if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(getattr(hook, "__call__", None)):  # noqa: B004  the method is looked at, not called
        raise ConfigurationError(
            f"the hook {name or name_of(hook)} is async.", hint="write it with def: no loop runs there"
        )
