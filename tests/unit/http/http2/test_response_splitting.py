"""An application that passes on what a client has sent, in names and values of fields: on no protocol, and in no part
of a response, does that become anything else than one field (CWE-113, RFC 9110 section 5.5, RFC 9113 section 8.2.1)."""

from __future__ import annotations

import pytest
from h2_client import Client, headers
from http_fakes import FakeApplication, Wire
from test_http2_websockets import CONNECT
from websocket_client import handshake

from gracehttp.http.fields import ResponseError

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
INJECTED = b"evil"
CONTROLS = [bytes([one]) for one in (*range(32), 127) if one != 9]
BAD_VALUES = [
    *(b"a%b%b: 1" % (control, INJECTED) for control in CONTROLS),
    b"a\r\n\r\n<evil>",
    b"a\r\n evil: 1",
    b"\r\nevil: 1",
    b"a\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 evil\r\n\r\n",
]
BAD_NAMES = [
    *(b"x%b%b" % (control, INJECTED) for control in CONTROLS),
    *(b"x%b%b" % (char, INJECTED) for char in (b" ", b"\t", b":", b"(", b'"', b"\x80", b"\xe5\x98\x8a")),
    b"",
    b":status",
    b":evil",
    b"x: 1\r\nevil",
]
BAD = [*((b"x-name", value) for value in BAD_VALUES), *((name, b"1") for name in BAD_NAMES)]


class Http1:
    """One request of HTTP/1.1."""

    def __init__(self):
        self.wire = Wire()
        self.wire.send(GET)
        self.exchange = self.wire.exchange

    def sent(self):
        self.wire.turn()
        return bytes(self.wire.kernel.sent)


class Http2:
    """One request of HTTP/2. What it sends is read by an independent library, that knows names and values only."""

    def __init__(self):
        self.client = Client()
        self.client.send(headers(1))
        self.exchange = self.client.exchanges[0]

    def sent(self):
        self.client.wire.turn()
        self.client.read()
        fields = [part for head in self.client.heads[1] for field in head for part in field]
        return b"|".join(fields) + self.client.bodies[1]


def final_head(exchange, field):
    exchange.start_response(200, [field])


def early_hints(exchange, field):
    exchange.send_interim(103, [field])


def trailers(exchange, field):
    exchange.start_response(200, [(b"trailer", b"x-name")], trailers=True)
    exchange.write(b"body", False)
    exchange.send_trailers([field])


@pytest.mark.parametrize("protocol", [Http1, Http2])
@pytest.mark.parametrize("part", [final_head, early_hints, trailers])
@pytest.mark.parametrize("field", BAD, ids=repr)
def test_field_that_would_be_more_than_one_is_refused(protocol, part, field):
    response = protocol()
    with pytest.raises(ResponseError):
        part(response.exchange, field)
    response.exchange.end(ResponseError("as it was raised into the application"))
    assert INJECTED not in response.sent()


@pytest.mark.parametrize("protocol", [Http1, Http2])
@pytest.mark.parametrize("value", [b"", b"\tb", b"b\t", b"a\tb", b"\xe5\x98\x8a\xe5\x98\x8d", b"\xff", b"a: b", b"a;b"])
def test_values_that_may_be_stay_what_they_are(protocol, value):
    """Also the characters whose last byte, alone, would be a line break: nothing here cuts characters into bytes."""
    response = protocol()
    response.exchange.start_response(200, [(b"x-name", value)])
    response.exchange.write(b"", False)
    assert (b"x-name: %b\r\n" if protocol is Http1 else b"x-name|%b|") % (
        value if protocol is Http1 else value.strip(b" \t")
    ) in response.sent()


def open_websocket(monkeypatch, protocol):
    sessions = []
    monkeypatch.setattr(FakeApplication, "handle_websocket", staticmethod(sessions.append))
    if protocol is Http1:
        wire = Wire()
        wire.send(handshake())
        response = Http1.__new__(Http1)
        response.wire = wire
    else:
        response = Http2.__new__(Http2)
        response.client = Client()
        response.client.send(headers(1, CONNECT, end=False))
    (session,) = sessions
    return response, session


def accept(session, field):
    session.accept(None, [field])


def denial(session, field):
    session.start_denial(401, [field])


@pytest.mark.parametrize("protocol", [Http1, Http2])
@pytest.mark.parametrize("part", [accept, denial])
@pytest.mark.parametrize("field", BAD, ids=repr)
def test_field_of_the_answer_to_a_websocket(monkeypatch, protocol, part, field):
    response, session = open_websocket(monkeypatch, protocol)
    with pytest.raises(ResponseError):
        part(session, field)
    session.end(ResponseError("as it was raised into the application"))
    assert INJECTED not in response.sent()


@pytest.mark.parametrize("protocol", [Http1, Http2])
@pytest.mark.parametrize("subprotocol", ["a\r\nevil: 1", "a\nevil: 1", "a, evil", "evil\x00", "ä-evil"])
def test_subprotocol_of_the_answer_to_a_websocket(monkeypatch, protocol, subprotocol):
    response, session = open_websocket(monkeypatch, protocol)
    with pytest.raises(ResponseError):
        session.accept(subprotocol)
    session.end(ResponseError("as it was raised into the application"))
    assert INJECTED not in response.sent()
