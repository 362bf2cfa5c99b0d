"""Pages over HTTP, as little of it as a probe or a scraper needs.

GET and HEAD, one request for each connection, no body, answered and closed (RFC 9112 section 9.6). It is not the
service's HTTP, which the supervisor must not import, and never sees the clients of the application.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Final

from gracehttp.supervisor.endpoints.endpoint import MOST_HEAD_BYTES, Client
from gracehttp.values import Value

TEXT: Final = "text/plain; charset=utf-8"
_REQUEST_LINE: Final = re.compile(rb"([!-~]+) (/[!-~]*) HTTP/1\.[01]\r?\n")
_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")


class Page(Value):
    """One answer."""

    status: int
    body: bytes
    content_type: str = TEXT


GivePage = Callable[[Callable[[Page], None]], None]
"""Gives its page to the function that it gets, at once or later, once."""


class HttpPages:
    """Answers at an endpoint with `pages`, by path. `at_other_paths` is the page at all others."""

    def __init__(self, pages: Mapping[str, GivePage], *, at_other_paths: GivePage | None = None) -> None:
        self._pages = pages
        self._at_other_paths = at_other_paths

    def begin(self, client: Client) -> None:
        """See `endpoint.Responder`."""

    def receive(self, client: Client, data: bytes) -> None:
        """See `endpoint.Responder`."""
        if _END_OF_HEAD.search(data) is None:
            if len(data) > MOST_HEAD_BYTES:
                client.answer(_response(Page(431, b"the head is too large\n")))
            return
        match = _REQUEST_LINE.match(data)
        if match is None:
            client.answer(_response(Page(400, b"this is no request of HTTP/1\n")))
            return
        method, target = match[1], match[2].partition(b"?")[0].decode("ascii")
        if method not in (b"GET", b"HEAD"):
            client.answer(_response(Page(405, b"there are GET and HEAD\n"), "Allow: GET, HEAD\r\n"))
            return
        give = self._pages.get(target, self._at_other_paths)
        if give is None:
            known = "".join(f"{path}\n" for path in self._pages)
            client.answer(_response(Page(404, f"there is no such page; there are:\n{known}".encode())))
            return
        give(partial(_answer, client, head_only=method == b"HEAD"))


def _answer(client: Client, page: Page, *, head_only: bool) -> None:
    client.answer(_response(page, head_only=head_only))


def _response(page: Page, fields: str = "", *, head_only: bool = False) -> bytes:
    head = (
        f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}\r\nContent-Type: {page.content_type}\r\n"
        f"Content-Length: {len(page.body)}\r\nCache-Control: no-store\r\nConnection: close\r\n{fields}\r\n"
    )
    return head.encode("ascii") + (b"" if head_only else page.body)
