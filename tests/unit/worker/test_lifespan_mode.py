"""A lifespan that is asked for must be there."""

from __future__ import annotations

import pytest

from gracehttp.errors import ApplicationFailed
from gracehttp.worker.lifespan import check_mode

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
