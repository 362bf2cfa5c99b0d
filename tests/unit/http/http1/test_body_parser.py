"""From the bytes of a body to its content."""

import random

import pytest

from gracehttp.http.http1 import body_parser as module
from gracehttp.http.http1.body_parser import ChunkedBody, CountedBody, body_parser
from gracehttp.http.http1.checks import RequestError, read_framing

HOST = (b"host", b"a")


def content(parser, pieces):
    """What is in `pieces` of the body, and how many bytes were taken of them."""
    got, taken = b"", 0
    for piece in pieces:
        end = parser.feed(piece, 0)
        taken += end
        got += b"".join(parser.take())
        if end < len(piece):
            break
    return got, taken


CHUNKS = b'5\r\nhello\r\n1;a\r\n \r\n6 ;a=b; c = "d;\\"e"\r\nworld\n\r\n'
CHUNKS += b"0a\r\n\r\n0\r\n\r\n345\r\n000\r\nA: b\r\nC:d \r\n\r\n"
TEXT = b"hello world\n\r\n0\r\n\r\n345"


def test_chunks_are_joined_and_their_framing_is_taken():
    parser = ChunkedBody(65536, 0)
    assert content(parser, [CHUNKS + b"GET /"]) == (TEXT, len(CHUNKS))
    assert parser.complete
    assert parser.trailers == [(b"a", b"b"), (b"c", b"d")]


def test_chunks_are_the_same_however_they_are_cut():
    for cut in range(1, len(CHUNKS)):
        parser = ChunkedBody(65536, 0)
        assert content(parser, [CHUNKS[:cut], CHUNKS[cut:] + b"GET"]) == (TEXT, len(CHUNKS)), cut
        assert parser.trailers == [(b"a", b"b"), (b"c", b"d")]
    rng = random.Random(3)
    for _ in range(300):
        cuts = sorted(rng.sample(range(1, len(CHUNKS)), rng.randrange(12)))
        pieces = [CHUNKS[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(CHUNKS)], strict=True)]
        assert content(ChunkedBody(65536, 0), pieces) == (TEXT, len(CHUNKS)), cuts


def test_body_is_complete_at_its_last_byte_and_not_before():
    for size in range(len(CHUNKS)):
        parser = ChunkedBody(65536, 0)
        parser.feed(CHUNKS[:size], 0)
        assert not parser.complete, size


def test_feeding_begins_where_it_is_told():
    parser = ChunkedBody(65536, 0)
    assert parser.feed(b"GET" + CHUNKS + b"rest", 3) == 3 + len(CHUNKS)
    counted = CountedBody(3)
    assert counted.feed(b"xabcd", 1) == 4
    assert counted.take() == [b"abc"]


def test_counted_body_knows_what_is_missing_and_chunks_do_not():
    parser = CountedBody(5)
    assert parser.missing_bytes == 5
    assert content(parser, [b"he"]) == (b"he", 2)
    assert (parser.missing_bytes, parser.complete) == (3, False)
    assert content(parser, [b"l", b"lo", b"GET"]) == (b"llo", 3)
    assert (parser.missing_bytes, parser.complete) == (0, True)
    assert ChunkedBody(65536, 0).missing_bytes is None


def test_content_is_taken_once():
    parser = CountedBody(5)
    parser.feed(b"he", 0)
    assert parser.take() == [b"he"]
    assert parser.take() == []


BAD = [
    b"\r\n",
    b"x\r\n",
    b" 1\r\n",
    b"-1\r\n",
    b"+1\r\n",
    b"0x1\r\n",
    b"1_0\r\n",
    b"1\n",
    b"1\r1",
    b"1;\r\n",
    b"1;;a\r\n",
    b"1;a=\r\n",
    b"1;a=b c\r\n",
    b'1;a="b\r\n',
    b"1;a\nb\r\n",
    b"1;\x00\r\n",
    b"00000000000000001\r\n",
    b"1\r\nab\r\n",
    b"1\r\na\n",
    b"1\r\na\rb",
    b"1\r\na1\r\n",
    b"0\r\na\r\n",
    b"0\r\na b: c\r\n",
    b"0\r\na : c\r\n",
    b"0\r\n a: c\r\n",
    b"0\r\n: c\r\n",
    b"0\r\na: c\x00\r\n",
    b"0\r\na: c\nb: d\r\n\r\n",
    b"0\r\na: c\rb: d\r\n\r\n",
    b"0\r\n\n",
]


@pytest.mark.parametrize("data", BAD)
def test_malformed_chunks_are_refused_however_they_are_cut(data):
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        with pytest.raises(RequestError) as caught:
            content(ChunkedBody(65536, 0), [*pieces, b"\r\n\r\n"])
        assert caught.value.status == 400


@pytest.mark.parametrize("size", [b"ffffffffffffffff", b"7fffffffffffffff"])
def test_size_of_a_chunk_may_be_as_large_as_numbers_are(size):
    parser = ChunkedBody(65536, 0)
    assert content(parser, [size + b"\r\nabc"]) == (b"abc", len(size) + 5)


@pytest.mark.parametrize("cut", [None, 1, 10])
def test_what_costs_without_bringing_data_is_limited(cut):
    for data in (
        b"1;" + b"x" * 2000,
        b"1;x=" + b"y" * 2000 + b"\r\n",
        b"0\r\n" + b"a: b\r\n" * 300,
        b"0\r\na: " + b"b" * 2000,
        b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n" * 100,
        b"0" * 16 + b";a" * 600,
    ):
        pieces = [data] if cut is None else [data[at : at + cut] for at in range(0, len(data), cut)]
        with pytest.raises(RequestError) as caught:
            content(ChunkedBody(1000, 0), pieces)
        assert caught.value.status == 431


class Looks:
    """In the place of a regular expression: counts the bytes that it has looked at."""

    def __init__(self, pattern):
        self.pattern = pattern
        self.bytes = 0

    def fullmatch(self, line, start=0):
        self.bytes += len(line) - start
        return self.pattern.fullmatch(line, start)


@pytest.mark.parametrize("begin", [b"1;", b"0\r\na: "])
def test_line_that_trickles_is_not_looked_at_again_for_each_of_its_bytes(begin, monkeypatch):
    looks = Looks(module._TEXT_SO_FAR)
    monkeypatch.setattr(module, "_TEXT_SO_FAR", looks)
    parser = ChunkedBody(65536, 0)
    parser.feed(begin, 0)
    for _ in range(60_000):
        parser.feed(b"x", 0)
    assert 60_000 <= looks.bytes < 3 * 60_000
    with pytest.raises(RequestError) as caught:
        content(parser, [b"\x01"] * 10_000)
    assert caught.value.status == 400


def test_line_behind_a_long_one_is_looked_at_again():
    parser = ChunkedBody(65536, 0)
    parser.feed(b"1;", 0)
    parser.feed(b"x" * 60_000, 0)
    parser.feed(b"\r\na\r\n", 0)
    with pytest.raises(RequestError):
        parser.feed(b"1;" + b"\x01" * 2000, 0)


def test_body_above_its_limit_is_refused_when_the_size_that_breaks_it_has_come():
    parser = ChunkedBody(65536, 5)
    assert content(parser, [b"5\r\nhello\r\n"])[0] == b"hello"
    with pytest.raises(RequestError) as caught:
        parser.feed(b"1\r\n", 0)
    assert caught.value.status == 413


@pytest.mark.parametrize(("limit", "length", "status"), [(0, 10, None), (10, 10, None), (9, 10, 413)])
def test_counted_body_is_held_against_the_limit_at_once(limit, length, status):
    framing = read_framing("1.1", [HOST, (b"content-length", b"%d" % length)])
    if status is None:
        assert isinstance(body_parser(framing, 1000, limit), CountedBody)
        return
    with pytest.raises(RequestError) as caught:
        body_parser(framing, 1000, limit)
    assert caught.value.status == status


def test_chunks_are_for_chunked():
    framing = read_framing("1.1", [HOST, (b"transfer-encoding", b"chunked")])
    assert isinstance(body_parser(framing, 1000, 0), ChunkedBody)
