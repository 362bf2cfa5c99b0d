"""IPv4 and IPv6 on one port: by two addresses, or by [::] alone."""

from __future__ import annotations

import functools
import socket

import pytest
from server_harness import free_port, get

CLIENT = """
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{scope['client'][0]} at {scope['server'][0]}".encode()})
"""


@functools.cache
def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def binds(*addresses):
    return [argument for address in addresses for argument in ("-b", address)]


@pytest.fixture
def serve(start):
    def begin(*addresses, **options):
        arguments = ("-m", "gracehttp", "serve", "application:app", *binds(*addresses))
        return start(*arguments, files={"application.py": CLIENT}, **options)

    return begin


def both(port):
    return [get(port, host=host)[1] for host in ("127.0.0.1", "::1")]


@pytest.mark.parametrize("addresses", [("0.0.0.0", "[::]"), ("[::]", "0.0.0.0"), ("[::]", "127.0.0.1")])
def test_both_families_have_an_address_of_their_own_on_one_port(serve, addresses):
    port = free_port()
    server = serve(*(f"{address}:{port}" for address in addresses))
    server.wait_until_serving()
    assert both(port) == ["127.0.0.1 at 127.0.0.1", "::1 at ::1"]
    server.restart(2)
    assert both(port) == ["127.0.0.1 at 127.0.0.1", "::1 at ::1"]


def test_all_ipv6_addresses_alone_take_ipv4_too_and_show_it_as_that(serve):
    port = free_port()
    serve(f"[::]:{port}").wait_until_serving()
    assert both(port) == ["127.0.0.1 at 127.0.0.1", "::1 at ::1"]


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (["[::]"], ["[::]", "0.0.0.0"], "beside an IPv4 address of the same port: it was opened for IPv4 too"),
        (["[::]", "0.0.0.0"], ["[::]"], "for IPv4 too: it was opened for IPv6 alone, beside an IPv4 address"),
    ],
)
def test_what_a_restart_can_not_change_is_told_and_the_old_code_serves_on(start, first, second, why):
    port = free_port()
    script = """
        import gracehttp
        grace = gracehttp.GraceHTTP()
        for address in {addresses}:
            grace.add_server("application:app", bind=address + ":{port}")
        grace.run()
    """
    files = {"application.py": CLIENT, "script.py": script.format(addresses=first, port=port)}
    server = start("script.py", files=files)
    server.wait_until_serving()
    server.write("script.py", script.format(addresses=second, port=port))
    told = server.command("restart")
    assert told.returncode == 1
    assert why in told.stderr
    assert both(port) == ["127.0.0.1 at 127.0.0.1", "::1 at ::1"]


@pytest.mark.parametrize(
    ("addresses", "why"),
    [
        (("0.0.0.0", "127.0.0.1"), "this service listens there already, as 0.0.0.0:"),
        (("127.0.0.1", "localhost"), "another server has that address already, as 127.0.0.1:"),
    ],
)
def test_an_address_that_is_there_twice_is_told_so(serve, addresses, why):
    port = free_port()
    server = serve(*(f"{address}:{port}" for address in addresses))
    assert server.wait() == 3
    assert why in server.log
    assert "in use by" not in server.log
