"""What the supervisor answers over HTTP itself: the page of the path, and why there is none."""

from __future__ import annotations

import pytest

from gracehttp.supervisor.endpoints.endpoint import MOST_HEAD_BYTES
from gracehttp.supervisor.endpoints.http_pages import HttpPages, Page


class Client:
    """As `endpoint.Client`, without a socket."""

    answered = b""

    def answer(self, data):
        self.answered = data


def ask(head, *, pages=None, at_other_paths=None):
    """The status, and what follows the head of the answer; (0, b"") while there is none."""
    client = Client()
    HttpPages(pages or {"/": say("here")}, at_other_paths=at_other_paths).receive(client, head)
    first, _, rest = client.answered.partition(b"\r\n\r\n")
    return (int(first.split()[1]), rest) if first else (0, b"")


def say(text):
    return lambda give: give(Page(200, text.encode()))


def test_get_has_the_page_and_head_none():
    assert ask(b"GET / HTTP/1.1\r\n\r\n") == (200, b"here")
    assert ask(b"HEAD / HTTP/1.1\r\n\r\n") == (200, b"")


def test_the_query_is_no_part_of_the_path():
    assert ask(b"GET /?x=1 HTTP/1.1\r\n\r\n") == (200, b"here")


def test_other_paths_have_one_page_or_none():
    assert ask(b"GET /metrics HTTP/1.1\r\n\r\n", at_other_paths=say("all"))[1] == b"all"
    assert ask(b"GET /metrics HTTP/1.1\r\n\r\n") == (404, b"there is no such page; there are:\n/\n")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\n", 0),
        (b"POST / HTTP/1.1\r\n\r\n", 405),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * MOST_HEAD_BYTES, 431),
    ],
)
def test_what_is_no_whole_request_waits_or_is_refused(head, status):
    assert ask(head)[0] == status
