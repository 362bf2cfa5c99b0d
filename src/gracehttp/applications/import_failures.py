"""The errors of an import that failed: what was tried, where it was looked for, and what may have been meant."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

from gracehttp.applications.detect import Shape, shape_of
from gracehttp.errors import ApplicationNotFound
from gracehttp.hints import Named, hint
from gracehttp.observe.tracebacks import application_frames, application_traceback

_SHOWN_PATHS = 4
_USUAL_MODULES = {"asgi": "application", "wsgi": "application", "main": "app", "app": "app"}
"""Where frameworks and tutorials put the application in a package, and its name there."""
_FACTORY_WORDS = ("create", "make", "get", "build", "factory", "app")


def is_missing_itself(module_name: str, error: ModuleNotFoundError) -> bool:
    """Whether `module_name` itself is missing, not a module that it imports.

    Both raise ModuleNotFoundError. `error.name` tells which module is missing. Frames of the application in the
    traceback tell that its code ran, so it was found.
    """
    named = error.name is not None and (module_name == error.name or module_name.startswith(error.name + "."))
    return named and application_frames(error.__traceback__) is None


def module_missing(module_name: str, attribute: str) -> ApplicationNotFound:
    """There is no such module on `sys.path`."""
    near = _near_module(module_name)
    meant = f"did you mean {near}:{attribute or 'app'}?"
    look = hint("{} names the directory to look in", Named("app_dir"))
    return ApplicationNotFound(
        f"there is no module {module_name!r}.", hint=meant if near else look, details=f"Looked in: {_where()}"
    )


def dependency_missing(module_name: str, error: ModuleNotFoundError) -> ApplicationNotFound:
    """The module exists, but imports one that doesn't."""
    package, _, inner = (error.name or "").rpartition(".")
    if package in sys.modules:  # so it is installed, perhaps in another version
        where = getattr(sys.modules[package], "__file__", None) or "a namespace package"
        meant = f"{package} is there ({where}) and has no module {inner}: is it another version, or the name mistyped?"
    else:
        meant = f"is it installed for this Python ({sys.executable})?"
    return ApplicationNotFound(
        f"the module {module_name} was found, but {error.name or 'something'} that it imports was not.",
        hint=meant,
        details=application_traceback(error),
    )


def syntax_error(module_name: str, error: SyntaxError) -> ApplicationNotFound:
    """The module, or one that it imports, isn't valid Python. The details end with file, line and caret."""
    where = f"{error.filename or module_name}, line {error.lineno or '?'}"
    return ApplicationNotFound(
        f"the module {module_name} can't be imported: {error.msg} ({where}).",
        details=application_traceback(error),
    )


def attribute_missing(module: object, module_name: str, attribute: str) -> ApplicationNotFound:
    """The module exists, but has no such attribute. `attribute` is empty if only the module was named."""
    source = getattr(module, "__file__", None)
    found = f"the module {module_name} ({source or 'a namespace package'})"
    message = f"{found} has no {attribute!r}." if attribute else f"{found} has neither app nor application."
    near = _near_attribute(module, attribute)
    if near:
        return ApplicationNotFound(message, hint=f"did you mean {module_name}:{near}?")
    found = _looks_like_applications(module, module_name) or _inside_package(module, module_name, attribute)
    return ApplicationNotFound(message, hint=found)


def candidates_hint(name: str) -> str:
    """A hint at what else in the module of `name` (`module:attribute`) looks like an application, or an empty text."""
    module_name = name.partition(":")[0]
    module = sys.modules.get(module_name)
    return "" if module is None else _looks_like_applications(module, module_name)


def _near_attribute(module: object, attribute: str) -> str:
    from difflib import get_close_matches

    if "." in attribute:
        return ""
    public = [name for name in dir(module) if not name.startswith("_") and not _is_module(module, name)]
    return next(iter(get_close_matches(attribute, public, n=1)), "")


def _inside_package(module: object, package: str, attribute: str) -> str:
    """A hint at the modules of a package that usually have the application, if it has such; none is imported."""
    folders = [Path(path) for path in getattr(module, "__path__", ())]
    meant = [
        f"{package}.{name}:{attribute or usual}"
        for name, usual in _USUAL_MODULES.items()
        if any((folder / f"{name}.py").is_file() for folder in folders)
    ]
    return f"that is a package: did you mean {' or '.join(meant)}?" if meant else ""


def _is_module(module: object, name: str) -> bool:
    """Whether `module` has only imported a module of that name, which is no application."""
    return isinstance(vars(module).get(name), ModuleType)


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
    """The shape of `value` if the module has made it itself, `OTHER` if it has imported it."""
    try:
        imported = getattr(value, "__module__", module_name) != module_name and hasattr(value, "__qualname__")
        return Shape.OTHER if imported or isinstance(value, type) else shape_of(value)
    except Exception:  # noqa: BLE001  a proxy such as Flask's `request` may raise anything when it is inspected
        return Shape.OTHER


def _near_module(module_name: str) -> str:
    """The name of a module of the user that may be meant: in a folder below, or of a similar name. Empty if none."""
    from difflib import get_close_matches  # most processes never fail to import

    for directory in _own_directories():
        entries = sorted(directory.glob("*"))
        for folder in entries:
            inside = folder.joinpath(*module_name.split("."))
            found = inside.with_suffix(".py").is_file() or (inside / "__init__.py").is_file()
            if found and folder.name.isidentifier() and not folder.name.startswith("_"):
                return f"{folder.name}.{module_name}"
        modules = [entry.stem for entry in entries if entry.suffix == ".py" or (entry / "__init__.py").is_file()]
        close = get_close_matches(module_name, filter(str.isidentifier, modules), n=1, cutoff=0.7)
        if close:
            return close[0]
    return ""


def _own_directories() -> list[Path]:
    """Where the user's own code is: the head of `sys.path` and the working directory."""
    here = _working_directory()
    return [Path(path) for path in dict.fromkeys(os.path.join(here, path) for path in (*sys.path[:1], here)) if path]


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
