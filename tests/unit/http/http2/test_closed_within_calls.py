"""A connection that is closed within its own call of the application, or within another one's, whatever both speak."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from h2_client import GET, PREFACE, SETTINGS, frame, headers, waiting
from http_fakes import Server, Wire, answer
from websocket_client import handshake

from gracehttp.http import negotiation
from gracehttp.http.exchange import ClientDisconnected, ResponseError
from gracehttp.http.settings import Http2Settings, WebSocketSettings

KINDS = ["http1", "http1 over tls", "http2", "http2 over tls", "websocket", "websocket over tls"]


class Client:
    """A connection on which the application is called when the client `speaks`, and `on_call` runs within that call."""

    def __init__(self, kind: str, server: Server) -> None:
        self.kind = kind
        self.wire = Wire(server=server, tls=kind.endswith("tls"))
        self.calls: list[Any] = []
        self.on_call = lambda: None
        if kind.startswith("http2"):
            if kind.endswith("tls"):
                negotiation.begin(self.wire.connection, "h2")
            self.wire.send(PREFACE + frame(SETTINGS))

    def speaks(self) -> Any:
        """The exchange or session of which the application was told."""
        self.wire.application.on_handle = self.wire.application.handle_websocket = self._called
        scheme = b"https" if self.kind.endswith("tls") else b"http"
        if self.kind.startswith("http2"):
            self.wire.send(headers(1, [(name, scheme if name == b":scheme" else value) for name, value in GET]))
        elif self.kind.startswith("websocket"):
            self.wire.send(handshake())
        else:
            self.wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        (call,) = self.calls
        return call

    def _called(self, call: Any) -> None:
        self.calls.append(call)
        self.on_call()

    def responds(self) -> None:
        """The application goes on, though the client may be gone."""
        (call,) = self.calls
        if self.kind.startswith("websocket"):
            call.accept()
            call.end()
        else:
            answer(call)

    @property
    def heard_of_the_end(self) -> bool:
        (call,) = self.calls
        return bool(call.ended if self.kind.startswith("websocket") else call.disconnected)


@pytest.fixture
def server() -> Server:
    return Server(http2=Http2Settings(cleartext=True), websocket=WebSocketSettings())


def is_gone(client: Client) -> bool:
    wire = client.wire
    return (
        wire.kernel.closed
        and wire.owner.closed.count(wire.connection) == 1
        and wire.kernel.fd not in wire.server.poller.watched
    )


@pytest.mark.parametrize("kind", KINDS)
def test_connection_may_be_aborted_within_its_own_call(kind, server):
    client = Client(kind, server)
    client.on_call = client.wire.connection.abort
    client.speaks()
    assert is_gone(client)
    client.wire.loop.run_soon()
    assert client.heard_of_the_end
    assert waiting(client.wire) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_response_to_a_connection_that_was_aborted_within_the_same_call_goes_nowhere(kind, server):
    client = Client(kind, server)

    def call():
        client.wire.connection.abort()
        with contextlib.suppress(ResponseError, ClientDisconnected):  # so an application may hear of it
            client.responds()

    client.on_call = call
    sent = len(client.wire.kernel.sent)
    client.speaks()
    client.wire.loop.run_soon()
    assert is_gone(client)
    assert len(client.wire.kernel.sent) == sent
    assert waiting(client.wire) == 0


@pytest.mark.parametrize("other_kind", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_connection_may_be_aborted_within_the_call_of_another_one(kind, other_kind, server):
    other, client = Client(other_kind, server), Client(kind, server)
    other.speaks()
    client.on_call = other.wire.connection.abort
    client.speaks()
    client.responds()
    other.wire.loop.run_soon()
    assert is_gone(other)
    assert other.heard_of_the_end
    assert not is_gone(client) or kind.startswith("websocket")
    client.wire.connection.abort()
    client.wire.loop.run_soon()
    assert is_gone(client)
    assert waiting(client.wire) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_all_connections_may_be_aborted_within_the_call_of_one(kind, server):
    others = [Client(one, server) for one in KINDS]
    for other in others:
        other.speaks()
    client = Client(kind, server)
    everyone = [*others, client]

    def abort_all():
        for one in everyone:
            one.wire.connection.abort()

    client.on_call = abort_all
    client.speaks()
    client.wire.loop.run_soon()
    assert all(is_gone(one) and one.heard_of_the_end for one in everyone)
    assert waiting(client.wire) == 0
