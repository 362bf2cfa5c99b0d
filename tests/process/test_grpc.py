"""gRPC over HTTP/2: the client is grpcio, the application a few lines of ASGI. What it takes are trailers.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import signal
import threading

import pytest
from server_harness import DEADLINE_SECONDS

grpc = pytest.importorskip("grpc", reason="grpcio is not installed")

APPLICATION = """
    import asyncio
    import struct

    def framed(message):
        return struct.pack(">BI", 0, len(message)) + message

    async def messages(receive):
        data, more = b"", True
        while more or len(data) >= 5:
            while len(data) < 5 or len(data) < 5 + int.from_bytes(data[1:5], "big"):
                if not more:
                    return
                message = await receive()
                data += message.get("body", b"")
                more = message.get("more_body", False)
            size = int.from_bytes(data[1:5], "big")
            yield data[5 : 5 + size]
            data = data[5 + size :]

    async def app(scope, receive, send):
        assert scope["type"] == "http" and scope["http_version"] == "2"
        assert (b"te", b"trailers") in scope["headers"]
        head = [(b"content-type", b"application/grpc")]
        await send({"type": "http.response.start", "status": 200, "headers": head, "trailers": True})
        status = b"0"
        if scope["path"] == "/echo.Echo/One":
            async for message in messages(receive):
                await send({"type": "http.response.body", "body": framed(message), "more_body": True})
        elif scope["path"] == "/echo.Echo/Many":
            async for message in messages(receive):
                for number in range(int(message)):
                    await send({"type": "http.response.body", "body": framed(b"%d" % number), "more_body": True})
                    await asyncio.sleep(0.001)
        else:
            status = b"12"
        await send({"type": "http.response.body", "body": b""})
        await send({"type": "http.response.trailers", "headers": [(b"grpc-status", status)]})
"""


def begin(start):
    server = start(
        *("-m", "gracehttp", "serve", "application:app", "--bind", "127.0.0.1:0", "--h2c"),
        files={"application.py": APPLICATION},
    )
    server.wait_until_serving()
    return server


def same(message):
    return message


def test_unary_streaming_and_errors(start):
    server = begin(start)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        one = channel.unary_unary("/echo.Echo/One", same, same)
        assert one(b"hello", timeout=DEADLINE_SECONDS) == b"hello"
        large = b"a" * 1_000_000
        assert one(large, timeout=DEADLINE_SECONDS) == large
        many = channel.unary_stream("/echo.Echo/Many", same, same)
        assert list(many(b"500", timeout=DEADLINE_SECONDS)) == [b"%d" % number for number in range(500)]
        both = channel.stream_stream("/echo.Echo/One", same, same)
        assert list(both(iter([b"a", b"b", b"c"]), timeout=DEADLINE_SECONDS)) == [b"a", b"b", b"c"]
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/echo.Echo/Unknown", same, same)(b"", timeout=DEADLINE_SECONDS)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_call_that_is_cancelled_leaves_the_channel(start):
    server = begin(start)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        call = channel.unary_stream("/echo.Echo/Many", same, same)(b"100000")
        assert next(call) == b"0"
        call.cancel()
        assert channel.unary_unary("/echo.Echo/One", same, same)(b"x", timeout=DEADLINE_SECONDS) == b"x"


def test_calls_through_restarts(start):
    """A stream of messages is completed where it began, and no call fails."""
    server = begin(start)
    failures, finished = [], threading.Event()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        one = channel.unary_unary("/echo.Echo/One", same, same)

        def call():
            try:
                while not finished.is_set():
                    assert one(b"x", timeout=DEADLINE_SECONDS) == b"x"
                    finished.wait(0.005)
            except (grpc.RpcError, AssertionError) as error:
                failures.append(error)

        callers = [threading.Thread(target=call) for _ in range(4)]
        for caller in callers:
            caller.start()
        many = channel.unary_stream("/echo.Echo/Many", same, same)(b"2000", timeout=2 * DEADLINE_SECONDS)
        received = [next(many)]
        for generation in (2, 3):
            server.process.send_signal(signal.SIGHUP)
            server.wait_until_serving(generation)
        received += many
        finished.set()
        for caller in callers:
            caller.join(DEADLINE_SECONDS)
    assert failures == []
    assert received == [b"%d" % number for number in range(2000)]
