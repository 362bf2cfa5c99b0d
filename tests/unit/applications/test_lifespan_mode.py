"""A lifespan that is asked for must be there."""

from __future__ import annotations

import asyncio

import pytest

from gracehttp.applications.asgi.lifespan import check_mode
from gracehttp.applications.loading import ApplicationLoader, ApplicationReference
from gracehttp.applications.registry import Applications, ApplicationSettings
from gracehttp.errors import ApplicationFailed

ASGI, WSGI = ("main:app", "asgi"), ("shop:app", "wsgi")


def test_lifespan_of_wsgi_is_refused() -> None:
    with pytest.raises(ApplicationFailed, match="shop:app speaks WSGI, which has none"):
        check_mode("on", [WSGI])


@pytest.mark.parametrize(
    ("mode", "applications"), [("auto", [WSGI]), ("off", [WSGI]), ("on", [ASGI]), ("on", [WSGI, ASGI])]
)
def test_lifespan_is_no_matter_of_wsgi_where_nobody_asks_it_to_be(
    mode: str, applications: list[tuple[str, str]]
) -> None:
    check_mode(mode, applications)


def test_applications_are_held_to_it_when_all_are_loaded() -> None:
    settings = ApplicationSettings(lifespan="on", threads=1, multiprocess=False)
    wsgi = ApplicationReference(lambda environ, start_response: [], False, "auto")
    asgi = ApplicationReference(lambda scope, receive, send: send, False, "auto")

    async def load(*named: ApplicationReference) -> None:
        applications = Applications(settings, ApplicationLoader(None), lambda: None)
        try:
            applications.provide(named)
        finally:
            for one in applications:
                await one.shutdown(1)

    asyncio.run(load(wsgi, asgi))
    with pytest.raises(ApplicationFailed, match="speaks WSGI"):
        asyncio.run(load(wsgi))
