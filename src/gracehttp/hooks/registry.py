"""Which function is called at which event."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from gracehttp import events
from gracehttp.errors import ConfigurationError, StartError
from gracehttp.events import Event, WorkerStage

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
            if not module or not function:
                raise ConfigurationError(
                    f"the hook {hook!r} is no import string.", hint="write module:function, such as hooks:on_exit"
                )
        else:
            _check_function(hook)
        self._hooks.append((event, hook))

    def add_named(self, name: str, hook: object, place: str) -> None:
        """As `add`, for the entry of a file at `place`. Raises `ConfigurationError`."""
        if name not in _NAMES:
            near = difflib.get_close_matches(name, _NAMES, n=1)
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

    def of(self, event: Event) -> Iterator[Hook | str]:
        """Those for `event`, in the order in which they were added."""
        return (hook for kind, hook in self._hooks if isinstance(event, kind))

    def at_stage(self, stage: WorkerStage, app_dir: str) -> None:
        """Call the hooks for a stage of this worker. Raises `StartError` if one can't be imported, or raises."""
        for hook in self.of(stage):
            name = hook if isinstance(hook, str) else name_of(hook)
            try:
                found(hook, app_dir)(stage)
            except Exception as exc:
                raise StartError(f"the hook {name} raised {type(exc).__name__}: {exc}.") from exc


def names_of(event: Event) -> set[str]:
    """The names under which `outside_workers` may have a hook for `event`."""
    return {one.__name__ for one in type(event).__mro__}


def found(hook: Hook | str, app_dir: str) -> Hook:
    """The function itself. Raises whatever its module raises, and `ConfigurationError`."""
    if not isinstance(hook, str):
        return hook
    folder = os.path.abspath(app_dir)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module, _, path = hook.partition(":")
    function: Any = importlib.import_module(module)
    for name in path.split("."):
        function = getattr(function, name)
    _check_function(function)
    return function  # type: ignore[no-any-return]  # whatever the module has there, it was checked to be callable


def name_of(hook: Hook) -> str:
    return f"{getattr(hook, '__module__', '?')}:{getattr(hook, '__qualname__', repr(hook))}"


def _check_function(hook: object) -> None:
    if not callable(hook):
        raise ConfigurationError(f"the hook {hook!r} can't be called.", hint="give a function that takes the event")
    if inspect.iscoroutinefunction(hook):
        raise ConfigurationError(f"the hook {name_of(hook)} is async.", hint="write it with def: no loop runs there")
