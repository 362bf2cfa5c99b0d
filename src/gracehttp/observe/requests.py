"""A request, in the words of a log line."""

from __future__ import annotations

from typing import Protocol

from gracehttp.observe.formatters import escaped


class LoggedRequest(Protocol):
    """What a log needs to know of the head of a request. `http.exchange.RequestHead` is one."""

    method: str
    target: bytes
    client: tuple[str, int] | None


def target_text(head: LoggedRequest) -> str:
    """The request target as it was sent; bytes that are no printable ASCII are escaped."""
    return escaped(head.target.decode("ascii", "backslashreplace"))


def client_text(head: LoggedRequest) -> str:
    """Address and port of the client; `unix` for one on a Unix socket, which has neither."""
    if head.client is None:
        return "unix"
    host, port = head.client
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
