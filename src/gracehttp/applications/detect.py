"""Tells from the signature of a callable which interface it speaks: ASGI (3.0), WSGI (PEP 3333), or neither.

Pure: it never calls the callable. The number of positional arguments decides. That works for functions, for objects
such as `FastAPI()` or `Flask()`, and for classes.
"""

from __future__ import annotations

import dis
import enum
import inspect
from types import FunctionType

from gracehttp.values import Value


class Shape(enum.Enum):
    """What a callable looks like."""

    ASGI = "asgi"
    WSGI = "wsgi"
    ASGI2 = "an ASGI 2 application, which is called twice"
    FACTORY = "a factory, which makes the application when it is called"
    ASYNC_FACTORY = "an async factory"
    AMBIGUOUS = "callable in both ways"
    OTHER = "neither"


class _Arguments(Value):
    """How many positional arguments a callable needs and takes at most, and the name of the first one."""

    required: int
    most: float
    first: str
    keyword_required: bool

    def fit(self, count: int) -> bool:
        return self.required <= count <= self.most and not self.keyword_required


def shape_of(candidate: object) -> Shape:
    """The shape of `candidate`. OTHER if it can't be called, or takes other arguments."""
    if not callable(candidate):
        return Shape.OTHER
    arguments = _arguments(candidate)
    if arguments is None:
        # Callables of C code may have no signature. What is left to tell is whether it is a coroutine function.
        return Shape.ASGI if _is_async(candidate) else Shape.AMBIGUOUS
    if isinstance(candidate, type):
        return _shape_of_class(candidate, arguments)
    if arguments.required == 0 and arguments.most != float("inf") and not arguments.keyword_required:
        return Shape.ASYNC_FACTORY if _is_async(candidate) else Shape.FACTORY
    if _is_async(candidate):
        return Shape.ASGI if arguments.fit(3) else Shape.OTHER
    return _shape_of_arguments(arguments)


def is_clearly_not(candidate: object, interface: str) -> bool:
    """Whether the signature of `candidate` contradicts `interface`, which is "asgi" or "wsgi".

    False in case of doubt, because the user who names the interface knows more than a signature tells.
    """
    shape = shape_of(candidate)
    if shape not in (Shape.ASGI, Shape.WSGI) or shape.value == interface:
        return False
    if _is_async(candidate):
        return True  # it returns a coroutine, not the iterable of bytes that WSGI wants
    arguments = _arguments(candidate)
    return arguments is not None and not arguments.fit(3 if interface == "asgi" else 2)


class NotAwaitable(enum.Enum):
    """Why what a callable returns can't be awaited."""

    RETURNS_NOTHING = "it is written with def, and returns nothing"
    GENERATOR = "it has a yield"


def why_not_awaitable(candidate: object) -> NotAwaitable | None:
    """Why `candidate`, which is called as an ASGI application, can't be one. None if it can, as far as its code tells:
    a plain function may return the coroutine of another one.
    """
    function = _function_of(candidate)
    if function is None:
        return None
    if function.__code__.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR):
        return NotAwaitable.GENERATOR
    if inspect.iscoroutinefunction(function):
        return None
    return NotAwaitable.RETURNS_NOTHING if _returns_nothing(function) else None


def _function_of(candidate: object) -> FunctionType | None:
    """The Python function that runs when `candidate` is called; None if that is something else."""
    if inspect.isfunction(candidate):
        return candidate
    called = candidate if inspect.ismethod(candidate) else getattr(candidate, "__call__", None)  # noqa: B004  the method itself
    function = getattr(called, "__func__", None)
    return function if inspect.isfunction(function) else None


def _returns_nothing(function: FunctionType) -> bool:
    """Whether each `return` of `function` gives None. RETURN_CONST is of Python 3.12 and 3.13."""
    returned, before = [], None
    for step in dis.get_instructions(function):
        if step.opname == "RETURN_CONST":
            returned.append(step.argval is None)
        elif step.opname == "RETURN_VALUE":
            constant = before is not None and before.opname == "LOAD_CONST" and not step.is_jump_target
            returned.append(constant and before is not None and before.argval is None)
        before = step
    return bool(returned) and all(returned)


def required_arguments(candidate: object) -> list[str]:
    """The names of the parameters that `candidate` can't be called without. Empty if it has no signature."""
    signature = _signature(candidate)
    if signature is None:
        return []
    return [
        name
        for name, parameter in signature.parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


def _shape_of_arguments(arguments: _Arguments) -> Shape:
    asgi, wsgi = arguments.fit(3), arguments.fit(2)
    if asgi and wsgi:
        # It has an optional third parameter, or *args. The first one's name decides, if it is that of a specification.
        return {"environ": Shape.WSGI, "scope": Shape.ASGI}.get(arguments.first, Shape.AMBIGUOUS)
    if asgi:
        return Shape.ASGI
    if wsgi:
        return Shape.WSGI
    if arguments.fit(1):
        return Shape.ASGI2
    return Shape.OTHER


def _shape_of_class(candidate: type, arguments: _Arguments) -> Shape:
    # To call a class makes an instance. The class is an application if the instance is the result of the call: an
    # iterable for WSGI (AppClass in PEP 3333), an awaitable for ASGI 3, a second callable for ASGI 2.
    if arguments.fit(2) and hasattr(candidate, "__iter__"):
        return Shape.WSGI
    if arguments.fit(3) and hasattr(candidate, "__await__"):
        return Shape.ASGI
    if arguments.fit(0):
        return Shape.FACTORY
    if arguments.fit(1) and inspect.iscoroutinefunction(getattr(candidate, "__call__", None)):  # noqa: B004  the method itself is asked for
        return Shape.ASGI2
    return Shape.OTHER


def _is_async(candidate: object) -> bool:
    return inspect.iscoroutinefunction(candidate) or inspect.iscoroutinefunction(
        getattr(candidate, "__call__", None)  # noqa: B004  the method itself is asked for
    )


def _signature(candidate: object) -> inspect.Signature | None:
    if not callable(candidate):
        return None
    try:
        return inspect.signature(candidate)
    except (TypeError, ValueError):
        return None


def _arguments(candidate: object) -> _Arguments | None:
    signature = _signature(candidate)
    if signature is None:
        return None
    required, most, first, keyword_required = 0, 0.0, "", False
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            first = first or name
            most += 1
            required += parameter.default is parameter.empty
        elif parameter.kind is parameter.VAR_POSITIONAL:
            most = float("inf")
        elif parameter.kind is parameter.KEYWORD_ONLY:
            keyword_required = keyword_required or parameter.default is parameter.empty
    return _Arguments(required, most, first, keyword_required)
