"""Which connections have a parser, and what becomes of it."""

import pytest
from http_fakes import Server, Wire, answer, hand_over_when_at_rest

from gracehttp.http.http1.parser import Parsers

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: 1\r\n\r\n"
UPGRADE = b"POST /u HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nhi"
OLD = b"GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"


class CountedParsers(Parsers):
    """`out` are with connections, `made` were made at all, `broken` were thrown away."""

    __slots__ = ("broken", "made", "out")

    def __init__(self, *limits):
        super().__init__(*limits)
        self.out = self.made = self.broken = 0

    def take(self):
        self.out += 1
        self.made += not self._free
        return super().take()

    def give_back(self, parser):
        self.out -= 1
        super().give_back(parser)

    def discard(self, parser):
        self.out -= 1
        self.broken += 1
        super().discard(parser)


def server(on_handle=None, **settings):
    made = Server(on_handle, **settings)
    made.parsers = CountedParsers(made.settings.max_header_size_bytes, made.settings.max_body_size_bytes)
    return made


def test_connection_has_a_parser_only_while_it_has_a_request():
    shared = server()
    wire = Wire(server=shared)
    assert shared.parsers.out == 0
    wire.send(GET[:5])
    assert shared.parsers.out == 1
    wire.send(GET[5:])
    assert shared.parsers.out == 1
    answer(wire.exchange)
    assert shared.parsers.out == 0
    wire.send(POST)
    answer(wire.exchange)
    assert shared.parsers.out == 1, "the rest of the body is thrown away"
    wire.send(b"hello")
    assert shared.parsers.out == 0


@pytest.mark.parametrize("lines", [b"\r\n", b"\r\n\r\n", b"\r"])
def test_connection_that_has_sent_empty_lines_only_has_none(lines):
    shared = server(answer)
    wire = Wire(server=shared).send(GET + lines)
    assert shared.parsers.out == 0
    wire.send(lines)
    assert shared.parsers.out == 0
    assert wire.send(GET).statuses == [200, 200]


def test_many_connections_share_one_parser():
    shared = server(answer)
    wires = [Wire(server=shared) for _ in range(50)]
    for _ in range(3):
        for wire in wires:
            wire.send(GET + CHUNKED)
    assert shared.parsers.made == 1
    assert all(wire.statuses == [200] * 6 for wire in wires)


@pytest.mark.parametrize("request_bytes", [GET[:10], GET, POST, POST + b"he", b"BAD\r\n\r\n", CHUNKED[:-9]])
@pytest.mark.parametrize("ends", [Wire.vanish, Wire.send_eof, lambda wire: wire.connection.abort()])
def test_parser_of_a_request_that_was_broken_off_is_used_no_more(request_bytes, ends):
    shared = server()
    wire = Wire(server=shared).send(request_bytes)
    ends(wire)
    for exchange in wire.exchanges:
        answer(exchange)
    wire.turn()
    assert wire.how_it_ended == "closed"
    assert shared.parsers.out == 0
    assert shared.parsers.broken == 1


def test_connection_that_moves_leaves_its_parser_here():
    shared = server()
    wire = Wire(server=shared).send(GET + GET[:5])
    hand_over_when_at_rest(wire)
    answer(wire.exchange)
    wire.turn()
    assert wire.how_it_ended == "moved"
    assert (shared.parsers.out, shared.parsers.broken) == (0, 0)


@pytest.mark.parametrize("before", [GET, POST + b"hello", CHUNKED, UPGRADE, OLD, b"\r\n" + CHUNKED])
@pytest.mark.parametrize("after", [GET, POST + b"hello", CHUNKED, UPGRADE, OLD])
def test_nothing_of_a_request_is_seen_by_the_next_one_of_another_client(before, after):
    def seen(exchange):
        body = b""
        while (taken := exchange.take_body()) is not None:
            body += taken[0]
            if not taken[1]:
                break
        head = exchange.head
        facts = (head.method, head.target, head.headers, head.http_version, exchange.body_length, body)
        told.append((*facts, list(exchange.trailers), exchange.awaits_continue))
        answer(exchange)

    told = []
    shared = server(seen)
    Wire(server=shared).send(before)
    second = Wire(server=shared).send(after)
    assert shared.parsers.made == 1
    used = told[1:]
    told.clear()
    fresh = Wire(server=server(seen)).send(after)
    assert used == told
    assert second.raw == fresh.raw
    assert second.how_it_ended == fresh.how_it_ended
