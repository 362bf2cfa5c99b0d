"""The shape of a callable tells its interface."""

from __future__ import annotations

import functools

import pytest

from gracehttp.applications.detect import Shape, is_clearly_not, required_arguments, shape_of


async def asgi_function(scope, receive, send): ...


async def asgi_of_anything(*args): ...


def asgi_through_a_plain_function(scope, receive, send): ...


def wsgi_function(environ, start_response): ...


def wsgi_with_an_option(environ, start_response, debug=False): ...


def asgi_2(scope): ...


def factory(): ...


def factory_with_defaults(config=None, debug=False): ...


async def async_factory(): ...


async def one_argument(request): ...


def four(a, b, c, d): ...


def anything(*args): ...


async def anything_async(*args): ...


def keyword_needed(environ, start_response, *, config): ...


@functools.wraps(wsgi_function)
def decorated(*args, **kwargs): ...


class AsgiObject:
    async def __call__(self, scope, receive, send): ...


class WsgiObject:
    def __call__(self, environ, start_response): ...


class WsgiClass:
    """As the AppClass of PEP 3333."""

    def __init__(self, environ, start_response): ...

    def __iter__(self): ...


class AsgiClass:
    """As the HTTPEndpoint of Starlette."""

    def __init__(self, scope, receive, send): ...

    def __await__(self): ...


class Asgi2Class:
    def __init__(self, scope): ...

    async def __call__(self, receive, send): ...


@pytest.mark.parametrize(
    ("candidate", "shape"),
    [
        (asgi_function, Shape.ASGI),
        (asgi_through_a_plain_function, Shape.ASGI),
        (AsgiObject(), Shape.ASGI),
        (AsgiObject().__call__, Shape.ASGI),
        (AsgiClass, Shape.ASGI),
        (anything_async, Shape.ASGI),
        (functools.partial(lambda config, scope, receive, send: None, {}), Shape.ASGI),
        (wsgi_function, Shape.WSGI),
        (wsgi_with_an_option, Shape.WSGI),
        (WsgiObject(), Shape.WSGI),
        (WsgiClass, Shape.WSGI),
        (decorated, Shape.WSGI),
        (asgi_2, Shape.ASGI2),
        (Asgi2Class, Shape.ASGI2),
        (factory, Shape.FACTORY),
        (factory_with_defaults, Shape.FACTORY),
        (AsgiObject, Shape.FACTORY),
        (async_factory, Shape.ASYNC_FACTORY),
        (anything, Shape.AMBIGUOUS),
        (lambda first, second, third=None: None, Shape.AMBIGUOUS),
        (one_argument, Shape.OTHER),
        (four, Shape.OTHER),
        (keyword_needed, Shape.OTHER),
        (17, Shape.OTHER),
    ],
)
def test_shape(candidate, shape):
    assert shape_of(candidate) is shape


def test_frameworks_are_recognised():
    import django.core.handlers.asgi
    import django.core.handlers.wsgi
    import fastapi
    import flask
    import starlette.applications

    assert shape_of(fastapi.FastAPI()) is Shape.ASGI
    assert shape_of(starlette.applications.Starlette()) is Shape.ASGI
    assert shape_of(flask.Flask("a")) is Shape.WSGI
    # Made without __init__, which would load settings.
    assert shape_of(object.__new__(django.core.handlers.asgi.ASGIHandler)) is Shape.ASGI
    assert shape_of(object.__new__(django.core.handlers.wsgi.WSGIHandler)) is Shape.WSGI


@pytest.mark.parametrize(
    ("candidate", "interface", "clear"),
    [
        (asgi_function, "wsgi", True),
        (asgi_of_anything, "wsgi", True),
        (asgi_through_a_plain_function, "wsgi", True),
        (wsgi_function, "asgi", True),
        (asgi_function, "asgi", False),
        (wsgi_function, "wsgi", False),
        (wsgi_with_an_option, "asgi", False),
        (anything, "asgi", False),
        (anything, "wsgi", False),
        (four, "wsgi", False),
        (print, "wsgi", False),
    ],
)
def test_only_what_cannot_be_called_as_the_interface_is_clearly_not_of_it(candidate, interface, clear):
    assert is_clearly_not(candidate, interface) is clear


def test_required_arguments_are_those_without_a_default():
    assert required_arguments(lambda a, b=1, *args, c, d=2, **rest: None) == ["a", "c"]
    assert required_arguments(17) == []
