"""Requests in, however their bytes are cut; and which ones are refused."""

import pytest
from http_fakes import Wire, answer, hand_over_when_at_rest

from gracehttp.http.http1 import parser, protocol

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
    wire = Wire(max_header_size_bytes=max_header_size, max_body_size_bytes=max_body_size)
    requests, body = [], b""
    for piece in pieces:
        wire.send(piece)
        while len(requests) < len(wire.exchanges) and not wire.exchange.disconnected:
            exchange = wire.exchange
            taken = exchange.take_body()
            if taken is None:
                break
            body += taken[0]
            if not taken[1]:
                head = exchange.head
                requests.append((head.method, head.target, head.headers, body))
                body = b""
                answer(exchange)
                wire.turn()
    refused = wire.statuses[len(requests) :]
    assert len(refused) <= 1
    return requests + refused


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
    rest = b"\r\n\r\nGET /next"
    wire = Wire()
    if split:
        wire.send(request_bytes[:-split])
    wire.send((request_bytes + rest)[-split - len(rest) :] if split else request_bytes + rest)
    sent = hand_over_when_at_rest(wire)
    answer(wire.exchange)
    wire.turn()
    ((_, carried),) = sent
    assert carried.received == rest


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
    (b"GET http://u:p@b/ HTTP/1.1\r\nHost: b\r\n\r\n", 400),  # RFC 9110 section 4.2.4
    (b"GET http://u@b?q HTTP/1.1\r\nHost: b\r\n\r\n", 400),
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
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"GETX / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"DESCRIBE / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\rHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x7f\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nA\x00: b\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \xb2\r\n\r\nab", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\rabc\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;\nabc\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n A: b\r\n\r\n", 400),
    (b"GET / HTTP/0.9\r\n\r\n", 505),
    (b"GET /\r\n\r\n", 505),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: a miracle\r\nContent-Length: 3\r\n\r\n", 417),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"hello\r\n", 400),
    (b"A" * 257 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"PRI / HTTP/1.1\r\nHost: a\r\n\r\n", 505),
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
    wire = Wire(max_header_size_bytes=1000).send(b"GET / HTTP/1.1\r\n")
    for _ in range(983):
        wire.send(b"x")
    assert wire.raw == b""
    wire.send(b"x")
    assert wire.statuses == [431]


@pytest.mark.parametrize("line", [b"OPTIONS *", b"GET http://b", b"GET http://b:80/?q", b"GET http://[::1]:80/"])
def test_target_of_another_form_than_a_path_is_taken(line):
    ((_, target, _, _),) = parse([line + b" HTTP/1.1\r\nHost: a\r\n\r\n"])
    assert target == line.partition(b" ")[2]


@pytest.mark.parametrize("lines", [b"\r\n", b"\r\n" * 3])
def test_empty_lines_before_a_request_are_no_part_of_it(lines):
    wire = Wire(max_header_size_bytes=100)
    for _ in range(1000):
        wire.send(lines)
    assert not wire.connection.busy
    assert wire.send(GET).exchange.head.target == b"/a?b"


def test_any_part_of_a_head_counts_as_its_beginning():
    for size in range(1, len(GET)):
        wire = Wire(max_header_size_bytes=100).send(GET[:size])
        assert wire.connection.busy, size


def test_any_part_of_a_head_counts_toward_its_limit():
    for size in range(1, len(GET) - 1):
        wire = Wire(max_header_size_bytes=len(GET) - 1).send(GET[:size])
        assert wire.raw == b""
        wire.send(GET[size:])
        assert wire.statuses == [431]


@pytest.mark.parametrize("minor", [b"2", b"9"])
def test_higher_minor_version_is_served_as_ours(minor):
    """RFC 9110 section 2.5."""
    exchange = Wire().send(GET.replace(b"HTTP/1.1", b"HTTP/1." + minor)).exchange
    assert exchange.head.http_version == "1.1"


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


def test_expectation_without_a_body_is_none():
    wire = Wire().send(b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n")
    assert not wire.exchange.awaits_continue
    wire.exchange.take_body()
    assert wire.raw == b""


@pytest.mark.parametrize(
    "request_bytes",
    [
        GET.replace(b"\r\n\r\n", b"\r\nProxy-Connection: close\r\n\r\n"),
        CHUNKED.replace(b"Trailer: 1", b"Connection: close"),
    ],
)
def test_next_request_is_taken_unless_connection_in_a_head_says_close(request_bytes):
    """These two mean nothing (RFC 9110 sections 6.5.1 and 7.6.1)."""
    _, second = parse([request_bytes, GET])
    assert second[1] == b"/a?b"


# --- what is remembered of the lines of others ---


def facts(exchange):
    head = exchange.head
    return (
        *(head.method, head.target, head.path, head.query_string, list(head.headers), head.http_version),
        *(exchange.body_length, exchange.awaits_continue, list(exchange.trailers)),
    )


OLD = b"GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
EXPECTS = POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
ABSOLUTE = b"GET http://real/ HTTP/1.1\r\nHost: a\r\n\r\n"
KINDS = [GET, POST, CHUNKED, UPGRADE, UPGRADE_POST, UPGRADE_CHUNKED, OLD, EXPECTS, ABSOLUTE, b"\r\n" + GET]


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("after", KINDS)
def test_nothing_of_a_request_is_seen_by_the_next_one(before, after):
    alone = Wire(answer).send(after)
    for wire in (Wire(answer).send(before).send(after), Wire(answer).send(before + after)):
        assert facts(wire.exchange) == facts(alone.exchange)
        assert wire.raw.endswith(alone.raw)
        assert wire.how_it_ended == alone.how_it_ended


def test_application_that_changes_its_headers_changes_those_of_no_other_request():
    seen = []

    def change(exchange):
        seen.append(list(exchange.head.headers))
        exchange.head.headers.append((b"x-mine", b"1"))
        exchange.head.headers[0] = (b"host", b"changed")
        answer(exchange)

    Wire(change).send(GET).send(GET)
    assert seen == [[(b"host", b"a")]] * 2


def test_lines_of_many_clients_do_not_grow_memory():
    for number in range(3000):
        wire = Wire(answer).send(b"GET /%d HTTP/1.1\r\nHost: a%d\r\nX-%d: %d\r\n\r\n" % ((number,) * 4))
        assert wire.statuses == [200]
    for remembered in (parser._request_lines, parser._field_lines, parser._framings):
        assert len(remembered) <= 1024


REMEMBERED = (parser._request_lines, parser._field_lines, parser._framings)


@pytest.mark.parametrize(
    "name", [b"Cookie", b"Authorization", b"Proxy-Authorization", b"X-Api-Key", b"Referer", b"New"]
)
def test_fields_that_may_be_secret_are_not_remembered(name):
    Wire(answer).send(GET.replace(b"\r\n\r\n", b"\r\n" + name + b": secret\r\n\r\n"))
    assert "secret" not in repr(REMEMBERED)


@pytest.mark.parametrize("target", [b"/?token=secret", b"http://a/?token=secret"])
def test_queries_are_not_remembered(target):
    wire = Wire(answer).send(GET.replace(b"/a?b", target))
    assert wire.exchange.head.query_string == b"token=secret"
    assert "secret" not in repr(REMEMBERED)


def test_trailers_that_may_be_secret_are_not_remembered():
    Wire(answer).send(CHUNKED.replace(b"Trailer: 1", b"Signature: secret"))
    assert "secret" not in repr(REMEMBERED)


@pytest.mark.parametrize(
    ("data", "method", "target"),
    [
        (b"BREW /pot HTTP/1.1\r\nHost: a\r\n", "BREW", b"/pot"),
        (b"BREW /p", "BREW", b""),
        (b"BREW", "", b""),
        (b"\x16\x03\x01\x02\x00", "", b""),
    ],
)
def test_of_a_line_with_an_unknown_method_is_told_what_is_sure(data, method, target):
    assert parser.method_and_target(data) == (method, target)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"FOO / HTTP/1.1\r\n", 501),
        (b"GETX ", None),
        (b"GETX /\r\n", 501),
        (b"SETUP / RTSP/1.0\r\n", 400),
        (b"get / HTTP/1.1\r\n", 501),
        (b"FO", None),
        (b"FOO\r\n", 400),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"F\x00", 400),
        (b'{"a": 1}', 400),
        (b" GET", 400),
        (b"A" * 257, 400),
        (b"A" * 257 + b" / HTTP/1.1\r\n", 400),
    ],
)
def test_token_is_an_unknown_method_and_anything_else_is_garbage(line, status):
    assert parse([line]) == ([] if status is None else [status])


def test_http_2_is_named_to_a_client_that_begins_with_its_preface():
    wire = Wire().send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert b"HTTP/2 with prior knowledge" in wire.raw


@pytest.mark.parametrize("lines", [b"X: " + b"y" * 20_000, b"X: y\r\n" * 3_000], ids=["one line", "many lines"])
def test_long_head_in_single_bytes_is_judged_a_few_times_only(lines, monkeypatch):
    """Each judgement costs as much as the head has bytes."""
    judged = []
    monkeypatch.setattr(
        protocol,
        "check_beginning",
        lambda data, limit: (judged.append(len(data)), parser.check_beginning(data, limit)),
    )
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + lines
    wire = Wire()
    for at in range(len(head)):
        wire.arrive(head[at : at + 1])
    assert sum(judged) < 1024 * 1024 + 12 * len(head)
    wire.send(b"\r\n\r\n" if not lines.endswith(b"\n") else b"\r\n")
    assert len(wire.exchanges) == 1
    answer(wire.exchange)
    wire.send(GET[:-4] + b"\n")
    assert wire.statuses == [200, 400], "a short head behind it is judged at each piece"


def test_fault_in_a_long_head_is_found_at_the_latest_when_the_head_is_whole_or_too_large():
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 5000
    for fault in (b"\nA: b", b"\rA: b", b"\x00"):
        wire = Wire().send(start).send(fault).send(b"\r\n\r\n")
        assert wire.statuses == [400], fault
    for fault in (b"\nA: b", b"\rA: b"):
        wire = Wire(max_header_size_bytes=6000).send(start).send(fault)
        while not wire.statuses:
            wire.send(b"z" * 10)
        assert wire.statuses == [400], fault
