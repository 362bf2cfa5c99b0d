"""A connection that is sent bytes, as what it made of them: requests, and how the reading ended."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from http_fakes import Wire, answer

from gracehttp.http.head import Header


class Request(NamedTuple):
    """What an application was given of one request."""

    method: str
    target: bytes
    path: str
    query: bytes
    version: str
    fields: list[Header]
    body: bytes
    trailers: list[Header]

    @property
    def host(self) -> bytes | None:
        return dict(self.fields).get(b"host")


class Reading(NamedTuple):
    """The requests that were whole; `ends[n]` is how many bytes had been sent when request n was.

    `refused` is the status of the request behind them, 0 if none was refused, and `reason` the sentence beside it.
    `closed`: nothing more is read, because a request was refused or was the last one.
    """

    requests: list[Request]
    ends: list[int]
    refused: int
    reason: str
    closed: bool

    @property
    def meaning(self) -> tuple[list[Request], int, bool]:
        """All but `ends`, which depends on where the bytes were cut."""
        return self.requests, self.refused, self.closed


def read(pieces: Iterable[bytes], **limits: Any) -> Reading:
    """Send `pieces`, and answer each request when it is whole. `limits` are settings of the server."""
    wire = Wire(**limits)
    requests: list[Request] = []
    ends: list[int] = []
    sent, body = 0, b""
    for piece in pieces:
        sent += len(piece)
        if wire.kernel.closed:
            break
        wire.send(piece)
        while len(requests) < len(wire.exchanges) and not wire.exchange.disconnected:
            exchange = wire.exchange
            taken = exchange.take_body()
            if taken is None:
                break
            body += taken[0]
            if not taken[1]:
                head = exchange.head
                requests.append(
                    Request(
                        *(head.method, head.target, head.path, head.query_string, head.http_version),
                        *(list(head.headers), body, list(exchange.trailers)),
                    )
                )
                ends.append(sent)
                body = b""
                answer(exchange)
                wire.turn()
    final = [status for status in wire.statuses if status >= 200]
    refused = final[len(requests) :]
    assert len(refused) <= 1
    reason = re.search(rb"\r\n\r\n([^\r\n]*)\n?\Z", wire.raw) if refused else None
    return Reading(
        requests,
        ends,
        refused[0] if refused else 0,
        reason[1].decode() if reason else "",
        wire.how_it_ended != "open",
    )


def in_single_bytes(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]
