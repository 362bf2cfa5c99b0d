"""Bytes that may be anything, sent to each part of gracehttp that reads what others have written.

A target takes bytes, and raises if something happens that must not: there is an answer or an error by its name, and an
end. `run.py` lets atheris look for bytes that break one. What it has found interesting is in `corpus`, a folder for
each target; `test_fuzz_replay` plays it in the suite, a little changed too.
"""

# ruff: noqa: E402  (the path comes first)

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

_UNIT = Path(__file__).parents[1] / "unit"
for _folder in (_UNIT / "http", _UNIT / "http" / "http1", _UNIT / "http" / "http2", _UNIT / "http" / "websocket"):
    sys.path.append(str(_folder))
sys.path.append(str(_UNIT.parent / "process"))

from h2_client import PREFACE, SETTINGS, frame
from http_fakes import Wire, answer
from request_reader import read
from test_parser_differential import compare
from tls_conversations import record_layer, stream
from websocket_world import Socket

from gracehttp.config import load
from gracehttp.config.access_format import read_access_format
from gracehttp.config.readers import UnreadableError
from gracehttp.errors import ConfigurationError
from gracehttp.http.exchange import ClientDisconnected
from gracehttp.http.fields import ResponseError
from gracehttp.http.forwarded import ForwardedError, parse_forwarded
from gracehttp.http.settings import Http2Settings
from gracehttp.net.proxy_protocol import ProxyProtocolError, parse
from gracehttp.values import UnreadableValue
from gracehttp.wire import control, handover, messages
from gracehttp.wire.json_lines import UnreadableLine, decode_line

_CLEARTEXT = Http2Settings(cleartext=True)
_MOST_PROXY_BYTES = 16 + 65535


def http1(data: bytes) -> None:
    """Heads and bodies of HTTP/1.1. The first byte says where the rest is cut: that must not change its meaning."""
    if len(data) < 2:
        return  # to send nothing would be to end
    cut = 1 + data[0] * len(data) // 256
    whole = read([data[1:]])
    pieces = read([piece for piece in (data[1:cut], data[cut:]) if piece])
    assert pieces.meaning == whole.meaning, (pieces.meaning, whole.meaning)
    assert whole.refused == 0 or 400 <= whole.refused <= 505, whole.refused


def http1_beside_others(data: bytes) -> None:
    """The same to llhttp and h11: what we take is the same request to them, and what we refuse has its section."""
    compare(data)


def websocket(data: bytes) -> None:
    """Frames of a client, behind its handshake. The first byte chooses the extension."""
    if not data:
        return
    deflates = bool(data[0] & 1)
    socket = Socket(deflate=deflates, max_size_bytes=100_000)
    for at in range(1, len(data), 1 + data[0]):
        if socket.kernel.closed:
            break
        socket.send(data[at : at + 1 + data[0]])
        with contextlib.suppress(ResponseError, ClientDisconnected):
            while (message := socket.session.take()) is not None:
                assert len(message) <= 100_000
                socket.session.send(message)
        socket.turn()
    for _ in range(6):
        socket.loop.pass_time(100)
        socket.turn()
    socket.session.end()
    socket.turn()
    socket.loop.pass_time(100)
    assert socket.kernel.closed


def http2(data: bytes) -> None:
    """Frames of a client, behind its preface."""
    wire = Wire(answer, http2=_CLEARTEXT)
    wire.send(PREFACE + frame(SETTINGS) + data)
    wire.turn()
    wire.loop.pass_time(500)
    wire.turn()
    assert wire.kernel.closed


def proxy(data: bytes) -> None:
    """A header of the PROXY protocol. A part of it is no other header."""
    try:
        found = parse(data)
    except ProxyProtocolError:
        return
    if found is None:
        assert len(data) < _MOST_PROXY_BYTES
        return
    header, size = found
    assert 0 < size <= len(data)
    assert parse(data[:size]) == (header, size)
    with contextlib.suppress(ProxyProtocolError):
        assert parse(data[: size - 1]) is None


def forwarded(data: bytes) -> None:
    """The value of a Forwarded field."""
    with contextlib.suppress(ForwardedError):
        for element in parse_forwarded(data):
            assert all(name == name.lower() for name in element)


def wire(data: bytes) -> None:
    """What processes send each other, and who asks at the control socket."""
    with contextlib.suppress(control.UnreadableRequest):
        control.read_request(data)
    with contextlib.suppress(control.UnreadableAnswer):
        control.read_answer(data)
    assert handover.count(data) >= 1
    with contextlib.suppress(handover.UnreadableHandover):
        handover.decode(data)
    with contextlib.suppress(UnreadableLine, UnreadableValue):
        messages.read(decode_line(data), {0: 5, 1: 6})


def tls(data: bytes) -> None:
    """What a client sends over TLS, from its first byte or behind a handshake, also when a process goes on with a
    session of another one."""
    stream(data)


def tls13(data: bytes) -> None:
    """Records of a client whose session of TLS 1.3 was handed over."""
    record_layer(data)


def toml(data: bytes) -> None:
    """A file of options."""
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(ConfigurationError):
            load(cli={"app": "main:app"}, environ={}, file=Path(file.name))


def access_format(data: bytes) -> None:
    """A format of the access log."""
    with contextlib.suppress(UnreadableError):
        form = read_access_format(data.decode("utf-8", "surrogateescape"))
        assert form.kind in ("log", "json", "text")


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        *(http1, http1_beside_others, websocket, http2, tls, tls13, proxy, forwarded, wire, toml, access_format),
    )
}
