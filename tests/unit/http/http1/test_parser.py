import pytest

from gracehttp.http.http1.checks import RequestError
from gracehttp.http.http1.parser import RequestParser

GET = b"GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\nhel\r\n4\r\n\r\n\r\n\r\n2\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n"
)
UPGRADE = b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
UPGRADE_POST = b"POST /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello"
UPGRADE_CHUNKED = (
    b"POST /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n0\r\n\r\n"
)
STREAM = b"\r\n\r\n".join([GET, POST, b"", CHUNKED, UPGRADE, UPGRADE_POST, UPGRADE_CHUNKED, GET])


def parse(pieces, max_header_size=65536, max_body_size=0):
    """What each request of the stream was: method, target, headers, body; then the status if one was refused."""
    parser, requests, body = RequestParser(max_header_size, max_body_size), [], []
    try:
        for piece in pieces:
            start = 0
            while start < len(piece):
                start = parser.feed(piece, start)
                body += parser.take_body()
                if parser.complete:
                    requests.append((parser.method, parser.target, parser.headers, b"".join(body)))
                    body = []
                    parser.reset()
    except RequestError as error:
        requests.append(error.status)
    return requests


def refused(data, **limits):
    (status,) = parse([data], **limits)
    return status


def test_stream_of_requests_is_the_same_however_it_is_cut_in_two():
    whole = parse([STREAM])
    assert [body for _, _, _, body in whole] == [b"", b"hello", b"hel\r\n\r\nlo", b"", b"hello", b"hello", b""]
    for cut in range(1, len(STREAM)):
        assert parse([STREAM[:cut], STREAM[cut:]]) == whole, cut


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_stream_of_requests_is_the_same_in_pieces_of_any_size(size):
    assert parse([STREAM[at : at + size] for at in range(0, len(STREAM), size)]) == parse([STREAM])


@pytest.mark.parametrize("request_bytes", [GET, POST, CHUNKED, UPGRADE, UPGRADE_POST, UPGRADE_CHUNKED])
@pytest.mark.parametrize("split", [0, 1, 3])
def test_not_a_byte_beyond_the_end_of_a_request_is_taken(request_bytes, split):
    parser = RequestParser(65536, 0)
    data = request_bytes + b"\r\n\r\nGET /next"
    first = len(request_bytes) - split
    if split:
        assert parser.feed(data[:first], 0) == first
        assert parser.feed(data[first:], 0) == split
    else:
        assert parser.feed(data, 0) == len(request_bytes)
    assert parser.complete


BAD = [
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", 400),
    (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nA\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", 400),
    (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET / FTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET *://b/admin HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET http://:80/a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET http://b:1:2/a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET http://[/a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n", 400),
    (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"GETX / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"DESCRIBE / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    (b"GET / HTTP/0.9\r\n\r\n", 505),
    (b"GET /\r\n\r\n", 505),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: a miracle\r\nContent-Length: 3\r\n\r\n", 417),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"hello\r\n", 400),
    (b'{"id": 1}\r\n', 400),
]


@pytest.mark.parametrize(("data", "status"), BAD)
def test_bad_request_is_refused_with_its_status(data, status):
    assert refused(data) == status


@pytest.mark.parametrize(("data", "status"), BAD)
def test_bad_request_is_refused_with_the_same_status_however_it_is_cut(data, status):
    for cut in range(1, len(data)):
        assert parse([data[:cut], data[cut:]]) == [status], cut
    assert parse([data[at : at + 1] for at in range(len(data))]) == [status]


@pytest.mark.parametrize(("data", "status"), BAD)
def test_bad_request_behind_a_good_one_is_refused_with_the_same_status(data, status):
    assert parse([POST + data])[1:] == [status]
    assert parse([CHUNKED + data])[1:] == [status]


@pytest.mark.parametrize("size", [1, 4000, 100_000])
def test_head_of_exactly_the_limit_is_taken_and_one_byte_more_is_refused(size):
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 4000 + b"\r\n\r\n"
    pieces = [head[at : at + size] for at in range(0, len(head), size)]
    assert len(parse(pieces, max_header_size=len(head))) == 1
    assert parse(pieces, max_header_size=len(head) - 1) == [431]


@pytest.mark.parametrize("size", [100, 100_000])
def test_target_that_fills_the_head_is_refused_as_too_long(size):
    head = b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    assert parse([head[at : at + size] for at in range(0, len(head), size)]) == [414]


def test_header_line_that_never_ends_is_refused_at_the_limit():
    parser = RequestParser(1000, 0)
    parser.feed(b"GET / HTTP/1.1\r\n", 0)
    for _ in range(983):
        parser.feed(b"x", 0)
    with pytest.raises(RequestError) as caught:
        parser.feed(b"x", 0)
    assert caught.value.status == 431


@pytest.mark.parametrize(
    "line", [b"OPTIONS *", b"GET http://b", b"GET http://b:80/?q", b"GET http://u:p@b/", b"GET http://[::1]:80/"]
)
def test_target_of_another_form_than_a_path_is_taken(line):
    ((_, target, _, _),) = parse([line + b" HTTP/1.1\r\nHost: a\r\n\r\n"])
    assert target == line.partition(b" ")[2]


def test_empty_lines_before_a_request_are_no_part_of_it():
    parser = RequestParser(100, 0)
    for _ in range(1000):
        parser.feed(b"\r\n", 0)
    assert not parser.started


def test_any_part_of_a_head_counts_as_started():
    for size in range(1, len(GET)):
        parser = RequestParser(100, 0)
        parser.feed(GET[:size], 0)
        assert parser.started, size


def test_any_part_of_a_head_counts_toward_its_limit():
    for size in range(1, len(GET) - 1):
        parser = RequestParser(len(GET) - 1, 0)
        parser.feed(GET[:size], 0)
        with pytest.raises(RequestError):
            parser.feed(GET[size:], 0)


HEAD_OF_CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_trailer_that_never_ends_is_refused():
    assert refused(HEAD_OF_CHUNKED + b"1\r\nx\r\n0\r\nTrailer: " + b"x" * 2000, max_header_size=1000) == 431


def test_trailers_that_are_many_are_refused():
    assert refused(HEAD_OF_CHUNKED + b"1\r\nx\r\n0\r\n" + b"Trailer: x\r\n" * 200, max_header_size=1000) == 431


def test_chunk_extension_that_never_ends_is_refused():
    assert refused(HEAD_OF_CHUNKED + b"1;" + b"x" * 2000, max_header_size=1000) == 431


def test_small_chunks_are_no_excess():
    data = HEAD_OF_CHUNKED + b"1;a=b\r\nx\r\n" * 10_000 + b"0\r\n\r\n"
    assert len(parse([data], max_header_size=1000)) == 1
    assert len(parse([data[at : at + 10] for at in range(0, len(data), 10)], max_header_size=1000)) == 1


def test_content_length_above_the_limit_is_refused_at_the_end_of_the_head():
    assert refused(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n", max_body_size=5) == 413


def test_content_length_of_the_limit_is_taken():
    assert len(parse([POST], max_body_size=5)) == 1


def test_chunked_body_above_the_limit_is_refused_when_it_gets_there():
    assert refused(HEAD_OF_CHUNKED + b"5\r\nhello\r\n1\r\nx\r\n", max_body_size=5) == 413


def test_white_space_around_values_is_no_part_of_them():
    ((_, _, headers, _),) = parse([b"GET / HTTP/1.1\r\nHost:\t a \t\r\nX-Empty:\r\nY:  \r\n\r\n"])
    assert headers == [(b"host", b"a"), (b"x-empty", b""), (b"y", b"")]


def test_missing_bytes_of_the_body_are_known_unless_it_is_chunked():
    parser = RequestParser(65536, 0)
    parser.feed(POST[:-2], 0)
    assert parser.body_bytes_missing == 2
    parser.feed(POST[-2:], 0)
    assert parser.body_bytes_missing == 0
    parser.reset()
    parser.feed(HEAD_OF_CHUNKED, 0)
    assert parser.body_bytes_missing is None


def test_expectation_without_a_body_is_none():
    parser = RequestParser(65536, 0)
    parser.feed(b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", 0)
    assert not parser.expects_continue


@pytest.mark.parametrize(
    "request_bytes",
    [
        GET.replace(b"\r\n\r\n", b"\r\nProxy-Connection: close\r\n\r\n"),
        CHUNKED.replace(b"Trailer: 1", b"Connection: close"),
    ],
)
def test_next_request_is_taken_unless_connection_in_a_head_says_close(request_bytes):
    """The parser itself takes nothing after these two, which mean nothing (RFC 9110 sections 6.5.1 and 7.6.1)."""
    _, second = parse([request_bytes, GET])
    assert second[1] == b"/a?b"
