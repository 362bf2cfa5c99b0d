"""Both ends of a connection, as applications see them."""

from __future__ import annotations

import pytest

from gracehttp.net.endpoints import client_of, server_of


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        (("192.0.2.1", 50000), ("192.0.2.1", 50000)),
        (("2001:db8::1", 50000, 0, 0), ("2001:db8::1", 50000)),
        (("::ffff:192.0.2.1", 50000, 0, 0), ("192.0.2.1", 50000)),
        (("::ffff:0:1", 50000, 0, 0), ("::ffff:0:1", 50000)),
        ("", None),
        (b"", None),
        (None, None),
    ],
)
def test_a_client_has_host_and_port_and_on_a_unix_socket_no_name(peer, client):
    assert client_of(peer) == client


@pytest.mark.parametrize(
    ("name", "server"),
    [
        (("192.0.2.9", 80), ("192.0.2.9", 80)),
        (("::ffff:192.0.2.9", 80, 0, 0), ("192.0.2.9", 80)),
        ("/run/app.sock", ("/run/app.sock", None)),
        (b"\0abstract", ("\0abstract", None)),
        ("", None),
    ],
)
def test_a_server_is_an_address_or_a_path(name, server):
    assert server_of(name) == server
