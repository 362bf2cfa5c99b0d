"""Imports the application that the user named. Its errors say what is wrong and what may help."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from gracehttp.applications import import_failures as failures
from gracehttp.applications.detect import (
    NotAwaitable,
    Shape,
    is_clearly_not,
    required_arguments,
    shape_of,
    why_not_awaitable,
)
from gracehttp.applications.lazy_parts import load_lazy_parts
from gracehttp.config.checks import app_dir_path, check_app_dir
from gracehttp.config.import_string import read_call
from gracehttp.errors import ApplicationNotFound, ConfigurationError
from gracehttp.hints import Named, hint
from gracehttp.observe.tracebacks import application_traceback, reason_of
from gracehttp.values import Value

DEFAULT_ATTRIBUTES = ("app", "application")


class LoadedApplication(Value):
    """An application. `interface` is "asgi" or "wsgi"; `name` is what logs and errors call it. `startup` and
    `shutdown` are functions of a WSGI application."""

    application: Callable[..., Any]
    interface: str
    name: str
    startup: Callable[[], object] | None = None
    shutdown: Callable[[], object] | None = None


def add_app_dir(path: str) -> None:
    """Put the directory `path` at the head of `sys.path`, so that modules in it are found first.

    Raises `ConfigurationError` if it isn't a directory.
    """
    check_app_dir(path)
    absolute = app_dir_path(path)
    if absolute in sys.path:
        sys.path.remove(absolute)
    sys.path.insert(0, absolute)
    importlib.invalidate_caches()


def load_application(target: object, *, factory: bool = False, interface: str = "auto") -> LoadedApplication:
    """The application that `target` names or is.

    `target` is an import string (`module:attribute`; `module` alone means its `app` or `application`), or the
    application itself. With `factory` it is called without arguments, and returns the application. An import string
    with a call, `module:factory("prod")`, is called with these arguments, which are literals. `interface` is
    "asgi" or "wsgi", which the signature of the application must not contradict, or "auto": then the signature decides.

    Raises `ApplicationNotFound`, also for what no application should raise, such as `asyncio.CancelledError`; and
    `ConfigurationError` if "auto" can't tell the interface.
    """
    call = read_call(target) if isinstance(target, str) else None
    if isinstance(target, str):
        name, application = _find(call.target if call is not None else target)
    else:
        name, application = _name_of(target), target
    if call is not None:
        factory, application = True, _make(name, application, *call.args, **call.kwargs)
    elif factory:
        application = _make(name, application)
    _check_usable(name, application, factory=factory)
    assert callable(application)
    found = _interface(name, application, interface)
    load_lazy_parts(name)
    return LoadedApplication(application, found, name)


def with_functions(loaded: LoadedApplication, startup: object, shutdown: object) -> LoadedApplication:
    """`loaded` with its functions, which may be import strings.

    Raises `ApplicationNotFound` if one isn't there, and `ConfigurationError` if the application is none of WSGI.
    """
    if startup is None and shutdown is None:
        return loaded
    if loaded.interface != "wsgi":
        raise ConfigurationError(
            f"{loaded.name} speaks ASGI, and startup and shutdown are functions of WSGI applications.",
            hint="an ASGI application has its lifespan, which does the same",
        )
    functions = {"startup": _function(startup), "shutdown": _function(shutdown)}
    return LoadedApplication(**{**loaded.fields(), **functions})


def _function(target: object) -> Callable[[], object] | None:
    name, value = _find(target) if isinstance(target, str) else (repr(target), target)
    if value is None:
        return None
    if not callable(value):
        raise ApplicationNotFound(f"{name} is {_kind(value)}, and can't be called.")
    return value


def _find(target: str) -> tuple[str, object]:
    module_name, _, attribute = target.partition(":")
    module = _import(module_name, attribute)
    if attribute:
        return target, _attribute(module, module_name, attribute)
    for default in DEFAULT_ATTRIBUTES:
        if hasattr(module, default):
            return f"{module_name}:{default}", getattr(module, default)
    raise failures.attribute_missing(module, module_name, "")


def _import(module_name: str, attribute: str) -> object:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as exc:
        if failures.is_missing_itself(module_name, exc):
            raise failures.module_missing(module_name, attribute) from exc
        raise failures.dependency_missing(module_name, exc) from exc
    except SyntaxError as exc:
        raise failures.syntax_error(module_name, exc) from exc
    except SystemExit as exc:
        raise ApplicationNotFound(
            f"the module {module_name} called sys.exit({exc.code!r}) while it was imported.",
            hint='put what only a script does under if __name__ == "__main__":',
            details=application_traceback(exc),
        ) from exc
    except BaseException as exc:
        raise ApplicationNotFound(
            f"the module {module_name} raised {type(exc).__name__} while it was imported{reason_of(exc)}.",
            details=application_traceback(exc),
        ) from exc


def _attribute(module: object, module_name: str, attribute: str) -> object:
    value = module
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError as exc:
            raise failures.attribute_missing(module, module_name, attribute) from exc
        except BaseException as exc:
            raise ApplicationNotFound(
                f"{module_name}:{attribute} can't be read: it raised {type(exc).__name__}{reason_of(exc)}.",
                details=application_traceback(exc),
            ) from exc
    return value


def _make(name: str, maker: object, *args: object, **kwargs: object) -> object:
    """Call the factory `maker` with these arguments, if it can be one."""
    if not callable(maker):
        raise ApplicationNotFound(f"{name} is {_kind(maker)}, and can't be called to make an application.")
    if shape_of(maker) in (Shape.ASGI, Shape.WSGI):
        raise ApplicationNotFound(
            f"{name} looks like an application itself, not like a factory.",
            hint=hint("leave out {}", Named("factory", True)),
        )
    required = required_arguments(maker)
    if args or kwargs:
        _check_arguments(name, maker, args, kwargs)
    elif required:
        raise ApplicationNotFound(
            f"the factory {name} needs arguments ({', '.join(required)}); it was named without any.",
            hint=f"write the call: '{name}(...)', with literals",
        )
    try:
        made = maker(*args, **kwargs)
    except SystemExit as exc:
        raise ApplicationNotFound(
            f"the factory {name} called sys.exit({exc.code!r}).", details=application_traceback(exc)
        ) from exc
    except BaseException as exc:
        raise ApplicationNotFound(
            f"the factory {name} raised {type(exc).__name__}{reason_of(exc)}.", details=application_traceback(exc)
        ) from exc
    if inspect.iscoroutine(made):
        made.close()  # or Python warns that it was never awaited
        raise ApplicationNotFound(
            f"the factory {name} is async.", hint="write it with def; start-up work belongs into the lifespan"
        )
    return made


def _check_arguments(
    name: str, maker: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> None:
    """Raise `ApplicationNotFound` if `maker` can't be called so; where its signature can't be known, the call tells."""
    try:
        signature = inspect.signature(maker)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as exc:
        raise ApplicationNotFound(f"the factory {name}{signature} can't be called so: {exc}.") from None


def _check_usable(name: str, application: object, *, factory: bool) -> None:
    what = f"what the factory {name} returned" if factory else name
    if inspect.iscoroutine(application):
        application.close()  # or Python warns that it was never awaited
        raise ApplicationNotFound(
            f"{what} is a coroutine, which an async function has returned.",
            hint="make the application with def; start-up work belongs into the lifespan",
        )
    if not callable(application):
        raise ApplicationNotFound(
            f"{what} is {_kind(application)}, and can't be called as an application can.",
            hint="" if factory else failures.candidates_hint(name),
        )
    if isinstance(application, type) and _needs_an_instance(application):
        made = "" if required_arguments(application) else hint(", or write {} {}", Named("factory", True), name)
        raise ApplicationNotFound(
            f"{what} is a class, not an application.",
            hint=hint("make an instance in the module, app = {}(...), and name that{}", application.__name__, made),
        )
    match shape_of(application):
        case Shape.FACTORY if not factory:
            raise ApplicationNotFound(
                f"{name} takes no arguments: it looks like a factory that makes the application.",
                hint=hint("write {} {}", Named("factory", True), name),
            )
        case Shape.ASYNC_FACTORY if not factory:
            raise ApplicationNotFound(
                f"{name} is an async function without arguments, neither an application nor a factory.",
                hint="an ASGI application takes scope, receive and send; a factory is written with def",
            )


def _needs_an_instance(application: type) -> bool:
    """Whether it is the instances of a class that can be called as an application, if any."""
    return shape_of(application) in {Shape.FACTORY, Shape.OTHER}


def _interface(name: str, application: object, wanted: str) -> str:
    interface = _chosen_interface(name, application, wanted)
    if interface == "asgi" and (why := why_not_awaitable(application)) is not None:
        raise ApplicationNotFound(
            f"{name} takes scope, receive and send as an ASGI application does, and can't be awaited: {why.value}.",
            hint="write it with async def"
            if why is NotAwaitable.RETURNS_NOTHING
            else "an ASGI application gives its answer to send, as await send({...})",
        )
    return interface


def _chosen_interface(name: str, application: object, wanted: str) -> str:
    if wanted in ("asgi", "wsgi"):
        if is_clearly_not(application, wanted):
            other = shape_of(application).value
            raise ApplicationNotFound(
                f"{name} is to be {wanted.upper()}, and can only be called as {other.upper()}.",
                hint=hint("leave out {}, or write {}", Named("interface", wanted), Named("interface", other)),
            )
        return wanted
    if wanted != "auto":
        raise ConfigurationError(f"{wanted!r} is no interface.", hint="the interfaces are auto, asgi and wsgi")
    match shape_of(application):
        case (Shape.ASGI | Shape.WSGI) as shape:
            return str(shape.value)
        case Shape.ASGI2 if (parameter := _parameter_of_a_factory(application)) and not inspect.isclass(application):
            raise ApplicationNotFound(
                f"{name} takes one argument, {parameter}: that is no application.",
                hint=hint(
                    "if it makes the application, call it in the module, app = {}(...), and name that; or name a "
                    "function without parameters after {}",
                    name.rpartition(":")[2],
                    Named("factory", True),
                ),
            )
        case Shape.ASGI2:
            raise ApplicationNotFound(
                f"{name} takes one argument: it looks like an application of ASGI 2, which is not supported.",
                hint="wrap it: asgiref.compatibility.guarantee_single_callable(app) makes it ASGI 3",
            )
        case Shape.AMBIGUOUS:
            raise ConfigurationError(
                f"{name} can be called as ASGI and as WSGI.",
                hint=hint("give {} or {}", Named("interface", "asgi"), Named("interface", "wsgi")),
            )
    names = ", ".join(required_arguments(application)) or "none"
    if inspect.iscoroutinefunction(application) and names == "environ, start_response":
        raise ApplicationNotFound(
            f"{name} takes environ and start_response as a WSGI application does, and is async.",
            hint="write it with def, or as an ASGI application: async def app(scope, receive, send)",
        )
    raise ApplicationNotFound(
        f"{name} is neither an ASGI nor a WSGI application: its parameters are {names}.",
        hint="ASGI takes scope, receive and send; WSGI takes environ and start_response",
    )


def _parameter_of_a_factory(application: object) -> str:
    """The name of the one parameter of a function that is no ASGI 2 application, else an empty text."""
    parameters = required_arguments(application) if inspect.isfunction(application) else []
    return parameters[0] if len(parameters) == 1 and parameters[0] != "scope" else ""


def _name_of(target: object) -> str:
    named = target if hasattr(target, "__qualname__") else type(target)
    return f"{getattr(named, '__module__', '?')}:{getattr(named, '__qualname__', repr(named))}"


def _kind(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"
