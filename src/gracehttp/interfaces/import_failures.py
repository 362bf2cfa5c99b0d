"""Why an import failed, in words that help: what was tried, where it was sought, what is nearest to it."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from gracehttp.config.hints import Named, hint
from gracehttp.errors import ApplicationNotFound
from gracehttp.interfaces.detect import Shape, shape_of
from gracehttp.observe.tracebacks import application_frames, application_traceback

_SHOWN_PATHS = 4
_FACTORY_WORDS = ("create", "make", "get", "build", "factory", "app")


def is_missing_itself(module_name: str, error: ModuleNotFoundError) -> bool:
    """Whether the module that was named is missing, not one that it imports.

    Both raise ModuleNotFoundError. `error.name` tells which one is missing; frames of the application in the
    traceback tell that its code ran, so that it was found.
    """
    named = error.name is not None and (module_name == error.name or module_name.startswith(error.name + "."))
    return named and application_frames(error.__traceback__) is None


def module_missing(module_name: str, attribute: str) -> ApplicationNotFound:
    """Nothing of that name is on `sys.path`."""
    near = _near_module(module_name, _directories())
    meant = f"did you mean {near}:{attribute or 'app'}?"
    look = hint("{} names the directory to look in", Named("app_dir"))
    return ApplicationNotFound(
        f"there is no module {module_name!r}.", hint=meant if near else look, details=f"Looked in: {_where()}"
    )


def dependency_missing(module_name: str, error: ModuleNotFoundError) -> ApplicationNotFound:
    """The module is there; one that it imports is not."""
    return ApplicationNotFound(
        f"the module {module_name} was found, but {error.name or 'something'} that it imports was not.",
        hint=f"is it installed for this Python ({sys.executable})?",
        details=application_traceback(error),
    )


def syntax_error(module_name: str, error: SyntaxError) -> ApplicationNotFound:
    """The module, or one that it imports, is not Python. The details end with file, line and caret."""
    where = f"{error.filename or module_name}, line {error.lineno or '?'}"
    return ApplicationNotFound(
        f"the module {module_name} can't be imported: {error.msg} ({where}).",
        details=application_traceback(error),
    )


def attribute_missing(module: object, module_name: str, attribute: str) -> ApplicationNotFound:
    """The module is there and has no such attribute; `attribute` is empty when none was named."""
    source = getattr(module, "__file__", None)
    found = f"the module {module_name} ({source or 'a namespace package'})"
    message = f"{found} has no {attribute!r}." if attribute else f"{found} has neither app nor application."
    near = _near_attribute(module, attribute)
    meant = f"did you mean {module_name}:{near}?"
    return ApplicationNotFound(message, hint=meant if near else _looks_like_applications(module, module_name))


def candidates_hint(name: str) -> str:
    """What else in the module of `name` (`module:attribute`) looks like an application; may be empty."""
    module_name = name.partition(":")[0]
    module = sys.modules.get(module_name)
    return "" if module is None else _looks_like_applications(module, module_name)


def _near_attribute(module: object, attribute: str) -> str:
    first, _, rest = attribute.partition(".")
    names = [name for name in dir(module) if not name.startswith("_")]
    if rest or not first:
        return ""
    return next(iter(difflib.get_close_matches(first, names, n=1)), "")


def _looks_like_applications(module: object, module_name: str) -> str:
    applications, factories = [], []
    for name, value in vars(module).items():
        if name.startswith("_"):
            continue
        match _shape_of_own(value, module_name):
            case Shape.ASGI | Shape.WSGI:
                applications.append(f"{module_name}:{name}")
            case Shape.FACTORY if any(word in name.lower() for word in _FACTORY_WORDS):
                factories.append(hint("{} {}", Named("factory", True), f"{module_name}:{name}"))
    found = [*applications, *factories]
    return hint(f"these look like applications: {', '.join(['{}'] * len(found))}", *found) if found else ""


def _shape_of_own(value: object, module_name: str) -> Shape:
    """The shape of what the module has made itself, `OTHER` for what it has imported."""
    try:
        imported = getattr(value, "__module__", module_name) != module_name and hasattr(value, "__qualname__")
        return Shape.OTHER if imported or isinstance(value, type) else shape_of(value)
    except Exception:  # noqa: BLE001  a stand-in, such as Flask's `request`, raises what it likes when looked at
        return Shape.OTHER


def _near_module(module_name: str, directories: Iterable[Path]) -> str:
    """The dotted name of a module that exists, and that `module_name` was meant to be; empty if none."""
    relative = Path(*module_name.split("."))
    for directory in directories:
        for folder in _folders(directory):
            if (folder / relative).with_suffix(".py").is_file() or (folder / relative / "__init__.py").is_file():
                return f"{folder.name}.{module_name}"
        close = difflib.get_close_matches(module_name, list(_modules(directory)), n=1, cutoff=0.7)
        if close:
            return close[0]
    return ""


def _folders(directory: Path) -> Iterator[Path]:
    for entry in _entries(directory):
        if entry.is_dir() and entry.name.isidentifier() and not entry.name.startswith("_"):
            yield entry


def _modules(directory: Path) -> Iterator[str]:
    for entry in _entries(directory):
        if entry.suffix == ".py" and entry.stem.isidentifier():
            yield entry.stem
        elif (entry / "__init__.py").is_file():
            yield entry.name


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _directories() -> list[Path]:
    """Where a person's own code is: the head of `sys.path` and the working directory."""
    here = _working_directory()
    unique = dict.fromkeys(os.path.normpath(os.path.join(here, path)) for path in (*sys.path[:1], here) if here or path)
    return [Path(path) for path in unique]


def _where() -> str:
    here = _working_directory() or "(deleted)"
    shown = [path or here for path in sys.path[:_SHOWN_PATHS]]
    rest = len(sys.path) - len(shown)
    more = f" and {rest} more" if rest > 0 else ""
    return f"{', '.join(shown)}{more} (working directory {here})"


def _working_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # deleted (getcwd(3))
        return ""
