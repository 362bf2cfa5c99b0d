"""The opening handshake (RFC 6455 section 4.2): what is asked, what is answered, and what is no handshake at all."""

from __future__ import annotations

import builtins
import logging

import pytest
from http_fakes import answer
from websocket_client import ACCEPT, KEY, handshake, text
from websocket_world import Socket
from websockets.extensions import permessage_deflate
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

from gracehttp.http.fields import ResponseError

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def lines_of(head: bytes) -> list[bytes]:
    return head.split(b"\r\n")


def test_answer():
    socket = Socket()
    assert lines_of(socket.head) == [
        b"HTTP/1.1 101 Switching Protocols",
        b"Connection: upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Accept: " + ACCEPT,
    ]
    assert socket.exchanges == []


@pytest.mark.parametrize(
    "request_",
    {
        "another case": handshake(Upgrade="WebSocket", Connection="keep-alive, UPGRADE"),
        "among others": handshake(Upgrade="h2c, websocket"),
        "in a field of its own": handshake(Upgrade="h2c", headers=(("Upgrade", "websocket"),)),
        "with an extension that we don't know": handshake(headers=(("Sec-WebSocket-Extensions", "x-unknown; a=1"),)),
        "with an origin": handshake(Origin="https://example.org"),
    }.values(),
)
def test_handshakes(request_):
    assert b" 101 " in Socket(asks=request_).head


@pytest.mark.parametrize(
    ("request_", "status"),
    {
        "no key": (handshake(Sec_WebSocket_Key=None), 400),
        "two keys": (handshake(headers=(("Sec-WebSocket-Key", KEY.decode()),)), 400),
        "an empty key": (handshake(Sec_WebSocket_Key=""), 400),
        "a key of 15 bytes": (handshake(Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAA"), 400),
        "a key of 17 bytes": (handshake(Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAAA="), 400),
        "a key that is no base64": (handshake(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZ!=="), 400),
        "no version": (handshake(Sec_WebSocket_Version=None), 426),
        "version 8": (handshake(Sec_WebSocket_Version="8"), 426),
        "version 14": (handshake(Sec_WebSocket_Version="14"), 426),
        "two versions": (handshake(headers=(("Sec-WebSocket-Version", "13"),)), 426),
        "a version that is no number": (handshake(Sec_WebSocket_Version="thirteen"), 426),
        "a subprotocol that is no token": (handshake(Sec_WebSocket_Protocol="a/b, c d"), 400),
        "no host": (handshake(Host=None), 400),
    }.values(),
)
def test_refused_handshakes(request_, status):
    socket = Socket(asks=request_)
    assert socket.sessions == socket.exchanges == []
    head = socket.kernel.sent.partition(b"\r\n\r\n")[0]
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert (b"Sec-WebSocket-Version: 13" in head) == (status == 426)
    assert (b"Upgrade: websocket" in head) == (status == 426)
    assert [finished[1] for finished in socket.owner.finished] == [status]


@pytest.mark.parametrize(
    "request_",
    {
        "no Connection: upgrade": handshake(Connection=None),
        "Connection without it": handshake(Connection="keep-alive"),
        "another protocol": handshake(Upgrade="h2c"),
        "no protocol": handshake(Upgrade=None),
        "HTTP/1.0": handshake().replace(b"HTTP/1.1", b"HTTP/1.0"),
        "POST": handshake().replace(b"GET", b"POST"),
        "a body": handshake(Content_Length="0").replace(b"Content-Length: 0", b"Content-Length: 5") + b"hello",
    }.values(),
)
def test_what_is_no_handshake_is_an_ordinary_request(request_):
    socket = Socket(asks=request_)
    assert socket.sessions == []
    answer(socket.exchange)
    assert socket.kernel.sent.startswith(b"HTTP/1.1 200 OK\r\n")


def test_application_that_knows_no_websockets_gets_an_ordinary_request():
    socket = Socket(asks=b"")
    socket.application.handle_websocket = None
    socket.send(handshake())
    answer(socket.exchange)
    assert socket.kernel.sent.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.usefixtures("undisturbed")
def test_without_the_library_it_is_an_ordinary_request_and_the_log_says_once_what_to_install(monkeypatch, caplog):
    real = builtins.__import__

    def without(name, *args, **options):
        if name.partition(".")[0] == "websockets":
            raise ModuleNotFoundError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with caplog.at_level(logging.WARNING, "gracehttp"):
        for _ in range(2):
            socket = Socket(asks=handshake())
            assert socket.sessions == []
            answer(socket.exchange)
            assert socket.kernel.sent.startswith(b"HTTP/1.1 200 OK\r\n")
    (record,) = caplog.records
    assert "pip install websockets" in record.message


# --- what the application says ---


def test_subprotocols():
    socket = Socket(asks=handshake(Sec_WebSocket_Protocol="chat.v2, chat"), accepts=False)
    assert socket.session.subprotocols == ["chat.v2", "chat"]
    socket.session.accept("chat")
    assert b"Sec-WebSocket-Protocol: chat" in lines_of(socket.read_head())


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_subprotocol(nothing):
    socket = Socket(asks=handshake(Sec_WebSocket_Protocol="chat"), accepts=False)
    socket.session.accept(nothing)
    assert b"Sec-WebSocket-Protocol" not in socket.read_head()


def test_headers_go_along():
    socket = Socket(accepts=False)
    socket.session.accept(headers=[(b"set-cookie", b"A=B; Path=/"), (b"x-Case", b"KeptAsItIs")])
    head = lines_of(socket.read_head())
    assert b"set-cookie: A=B; Path=/" in head
    assert b"x-Case: KeptAsItIs" in head


@pytest.mark.parametrize(
    ("subprotocol", "headers"),
    {
        "a subprotocol that is no token": ("a b", ()),
        "a line break in a subprotocol": ("a\r\nX: y", ()),
        "a line break in a value": (None, [(b"x", b"a\r\nb: c")]),
        "a name that is none": (None, [(b"a b", b"c")]),
        "our own answer": (None, [(b"Sec-WebSocket-Accept", b"x")]),
        "an extension": (None, [(b"sec-websocket-extensions", b"permessage-deflate")]),
        "another protocol": (None, [(b"upgrade", b"h2c")]),
        "two subprotocols": ("a", [(b"sec-websocket-protocol", b"b")]),
    }.values(),
)
def test_answers_that_cannot_be_given(subprotocol, headers):
    socket = Socket(accepts=False)
    with pytest.raises(ResponseError):
        socket.session.accept(subprotocol, headers)
    assert not socket.kernel.sent
    socket.session.end(ResponseError("as it was raised into the application"))
    assert socket.kernel.sent.startswith(b"HTTP/1.1 500 ")


def test_close_before_accept_is_403_and_the_connection_goes_on():
    socket = Socket(accepts=False)
    socket.session.close(1002, "no")
    assert socket.session.ended
    assert socket.kernel.sent.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert socket.kernel.sent.endswith(b"\r\n\r\nForbidden\n")
    socket.session.end()
    socket.send(GET)
    answer(socket.exchange)
    assert [finished[1] for finished in socket.owner.finished] == [403, 200]


def test_denial_response():
    socket = Socket(accepts=False)
    socket.session.start_denial(401, [(b"www-authenticate", b"Bearer"), (b"content-length", b"4")])
    socket.session.write_denial(b"no", True)
    assert not socket.session.ended
    socket.session.write_denial(b"no", False)
    assert socket.session.ended
    assert socket.kernel.sent.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert socket.kernel.sent.count(b"ontent-") == 1
    assert socket.kernel.sent.endswith(b"\r\n\r\nnono")
    socket.send(handshake())
    socket.session.accept()
    assert b"HTTP/1.1 101 " in socket.kernel.sent, "the connection is as good as before"


@pytest.mark.parametrize("status", [101, 200, 204])
def test_denial_that_is_none(status):
    with pytest.raises(ResponseError):
        Socket(accepts=False).session.start_denial(status, [])


def test_handshake_is_answered_once():
    socket = Socket()
    with pytest.raises(ResponseError):
        socket.session.accept()
    with pytest.raises(ResponseError):
        socket.session.start_denial(403, [])
    socket = Socket(accepts=False)
    socket.session.start_denial(403, [])
    with pytest.raises(ResponseError):
        socket.session.accept()


def test_application_that_ends_without_an_answer_is_500():
    socket = Socket(accepts=False)
    socket.session.end()
    assert socket.kernel.sent.startswith(b"HTTP/1.1 500 ")
    assert socket.owner.broken


@pytest.mark.parametrize("leave", ["send_eof", "vanish"])
def test_client_that_leaves_before_the_answer(leave):
    socket = Socket(accepts=False)
    getattr(socket, leave)()
    assert socket.session.ended
    with pytest.raises(OSError, match="gone"):
        socket.session.accept()
    socket.session.end()
    assert socket.connection in socket.owner.closed
    assert socket.owner.failures == socket.owner.broken == []


def test_connection_that_ends_in_the_moment_of_the_answer():
    socket = Socket(accepts=False)
    socket.owner.connection_speaks = lambda connection: connection.abort()
    socket.session.accept()
    assert socket.session.ended
    with pytest.raises(OSError, match="ended"):
        socket.session.send("to nobody")
    socket.session.end()
    assert socket.owner.failures == []


def test_client_that_only_listens_still_gets_a_denial_that_has_begun():
    socket = Socket(accepts=False)
    socket.session.start_denial(403, [])
    socket.send_eof()
    socket.session.write_denial(b"no", False)
    assert socket.kernel.sent.endswith(b"no")


def test_half_closed_client_of_a_later_request_is_answered():
    socket = Socket(accepts=False)
    socket.session.close()
    socket.session.end()
    socket.send(GET)
    socket.send_eof()
    answer(socket.exchange)
    assert b"HTTP/1.1 200 OK" in socket.kernel.sent


def test_frames_that_come_before_the_answer_are_not_lost():
    socket = Socket(asks=handshake() + text("eager"), accepts=False)
    socket.session.accept()
    assert socket.taken() == ["eager"]


# --- permessage-deflate (RFC 7692 section 7.1) ---


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        ("permessage-deflate", "permessage-deflate; server_max_window_bits=12"),
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            "permessage-deflate; client_max_window_bits=10; server_max_window_bits=9",
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10",
        ),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
        ),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            "permessage-deflate; server_max_window_bits=12",
        ),
        ("x-webkit-deflate-frame, permessage-deflate", "permessage-deflate; server_max_window_bits=12"),
        ("permessage-deflate; unknown=1", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-bzip2", None),
    ],
)
def test_deflate_is_agreed_on(offer, agreed):
    socket = Socket(asks=handshake(Sec_WebSocket_Extensions=offer), deflate=True)
    found = [line for line in lines_of(socket.head) if line.startswith(b"Sec-WebSocket-Extensions")]
    assert found == ([] if agreed is None else [b"Sec-WebSocket-Extensions: " + agreed.encode()])


def test_deflate_is_off_by_default():
    """It could not be switched off, which some clients need (uvicorn issue 1298)."""
    socket = Socket(asks=handshake(Sec_WebSocket_Extensions="permessage-deflate"))
    assert b"Extensions" not in socket.head


def test_malformed_offer_is_refused():
    socket = Socket(asks=handshake(Sec_WebSocket_Extensions="permessage-deflate; =;,"), deflate=True, accepts=False)
    assert socket.kernel.sent.startswith(b"HTTP/1.1 400 ")
    assert socket.sessions == []


def test_offer_that_zlib_refuses_is_passed_over(monkeypatch):
    """Also where the library says so by a ValueError, as websockets 15.0 to 17.0 do."""

    class Factory(ServerPerMessageDeflateFactory):
        def process_request_params(self, params, accepted):
            if ("server_max_window_bits", "8") in params:
                raise ValueError("Invalid initialization option")
            return super().process_request_params(params, accepted)

    monkeypatch.setattr(permessage_deflate, "ServerPerMessageDeflateFactory", Factory)
    test_deflate_is_agreed_on(
        "permessage-deflate; server_max_window_bits=8, permessage-deflate",
        "permessage-deflate; server_max_window_bits=12",
    )
    test_deflate_is_agreed_on("permessage-deflate; server_max_window_bits=8", None)
