"""Requests whose end the test decides: the application is at work until the client sends the last byte of the body."""

from __future__ import annotations

import contextlib
import socket

from deadlines import DEADLINE_SECONDS
from server_harness import read_response

BODY_APPLICATION = """
    import os

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


class HeldRequest(contextlib.AbstractContextManager):
    """A request that the application has begun and can't finish before `finish()`.

    The client asks to be told when its body is wanted (RFC 9110 section 10.1.1), and waits until it is.
    """

    def __init__(self, port, path="/held"):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS)
        head = f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
        self.socket.sendall(head.encode())
        told = b""
        while not told.endswith(b"\r\n\r\n"):
            piece = self.socket.recv(1000)
            assert piece, "closed before the application asked for the body"
            told += piece
        assert told == b"HTTP/1.1 100 Continue\r\n\r\n"

    def __exit__(self, kind, error, traceback):
        self.socket.close()

    def finish(self):
        """Let the application answer; returns status, headers and body, which is a PID with BODY_APPLICATION."""
        self.socket.sendall(b"!")
        status, headers, body = read_response(self.socket)
        return status, headers, body.decode()

    def wait_until_cut(self):
        """Wait until the server closes the connection without an answer."""
        with contextlib.suppress(ConnectionResetError):
            received = self.socket.recv(1000)
            assert received == b"", "a request that is cut gets no answer"
