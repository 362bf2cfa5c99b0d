"""From the application to bytes: framing, rules, and what happens when they are broken."""

from http import HTTPStatus

import pytest
from http_fakes import Wire, answer

from gracehttp.http.exchange import ResponseError

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"


def respond(request, status, headers, *pieces):
    """Send the pieces as an application does, the last one as the end; what the client gets below the status line."""
    wire = Wire().send(request)
    exchange = wire.exchange
    exchange.start_response(status, headers)
    for number, piece in enumerate(pieces, start=1):
        exchange.write(piece, number < len(pieces))
    exchange.end()
    wire.loop.run_soon()
    return wire, wire.raw.partition(b"\r\n")[2].replace(b"Server: gracehttp\r\n", b"")


@pytest.mark.parametrize(
    ("request_bytes", "status", "headers", "pieces", "expected"),
    [
        (GET, 200, [], [b"hello"], b"Content-Length: 5\r\n\r\nhello"),
        (GET, 200, [], [b""], b"Content-Length: 0\r\n\r\n"),
        (
            GET,
            200,
            [],
            [b"he", b"", b"llo", b""],
            b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        ),
        (GET, 200, [], [b"he", b"llo"], b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        (GET, 200, [], [b"", b"x" * 16], b"Transfer-Encoding: chunked\r\n\r\n10\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n"),
        (GET, 200, [(b"content-length", b"5")], [b"he", b"llo", b""], b"Content-Length: 5\r\n\r\nhello"),
        (
            GET,
            200,
            [(b"transfer-encoding", b"chunked")],
            [b"a", b""],
            b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        ),
        (OLD, 200, [], [b"he", b"llo"], b"Connection: close\r\n\r\nhello"),
        (OLD, 200, [], [b"hello"], b"Content-Length: 5\r\nConnection: close\r\n\r\nhello"),
        (HEAD, 200, [(b"content-length", b"5")], [b"hello"], b"Content-Length: 5\r\n\r\n"),
        (HEAD, 200, [(b"content-length", b"5")], [b""], b"Content-Length: 5\r\n\r\n"),
        (HEAD, 200, [], [b"hello"], b"Content-Length: 5\r\n\r\n"),
        (HEAD, 200, [], [b""], b"\r\n"),
        (HEAD, 200, [], [b"he", b"llo"], b"\r\n"),
        (GET, 204, [(b"content-length", b"0")], [b"nothing"], b"\r\n"),
        (GET, 304, [(b"content-length", b"5")], [b""], b"Content-Length: 5\r\n\r\n"),
        (GET, 304, [], [b"nothing"], b"\r\n"),
        (GET, 205, [(b"content-length", b"7")], [b"nothing"], b"Content-Length: 0\r\n\r\n"),
        (GET, 205, [], [b"no", b"thing"], b"Content-Length: 0\r\n\r\n"),
        (HEAD, 205, [], [b"nothing"], b"Content-Length: 0\r\n\r\n"),
    ],
)
def test_body_is_framed_by_method_status_version_and_length(request_bytes, status, headers, pieces, expected):
    assert respond(request_bytes, status, headers, *pieces)[1] == expected


def test_response_until_close_ends_with_the_connection():
    wire, _ = respond(OLD, 200, [], b"he", b"llo")
    assert wire.how_it_ended == "closed"


def test_http_1_0_that_wants_to_go_on_is_closed_when_the_length_is_unknown():
    wire, raw = respond(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, [], b"he", b"llo")
    assert b"Connection: close" in raw
    assert wire.how_it_ended == "lingering"


def test_connection_close_of_the_application_is_honoured():
    wire, raw = respond(GET, 200, [(b"Connection", b"close")], b"x")
    assert raw.count(b"Connection: close") == 1
    assert wire.how_it_ended == "lingering"


def test_own_date_and_server_replace_ours():
    wire, _ = respond(GET, 200, [(b"date", b"today"), (b"server", b"mine")], b"")
    assert wire.kernel.sent == b"HTTP/1.1 200 OK\r\ndate: today\r\nserver: mine\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("own", [b"date", b"server"])
def test_each_of_date_and_server_is_sent_once(own):
    wire, _ = respond(GET, 200, [(own, b"mine")], b"")
    raw = wire.kernel.sent.lower()
    assert raw.count(b"\r\ndate: ") == raw.count(b"\r\nserver: ") == 1


def test_large_body_is_not_copied_together_with_the_head():
    body = b"x" * 100_000
    wire, _ = respond(GET, 200, [], body)
    ((head, sent),) = wire.kernel.calls
    assert head.endswith(b"\r\n\r\n")
    assert sent is body


def test_bytearray_and_memoryview_are_taken_as_they_are_now():
    wire = Wire().send(GET)
    data = bytearray(b"hello")
    wire.exchange.start_response(200, [(b"content-length", b"10")])
    wire.exchange.write(data, True)
    data[:] = b"spoil"
    wire.exchange.write(memoryview(b"world"), False)
    assert wire.raw.endswith(b"helloworld")


# --- rules ---


@pytest.mark.parametrize("status", [100, 101, 199, 1000, 0, -1, "200", None, 200.0, True])
def test_status_of_no_final_response_is_an_error(status):
    with pytest.raises(ResponseError):
        Wire().send(GET).exchange.start_response(status, [])


def test_status_may_be_of_the_standard_librarys_enumeration():
    wire, _ = respond(GET, HTTPStatus.NOT_FOUND, [], b"")
    assert wire.statuses == [404]


def test_second_start_is_an_error():
    exchange = Wire().send(GET).exchange
    exchange.start_response(200, [])
    with pytest.raises(ResponseError, match="already"):
        exchange.start_response(200, [])


def test_body_before_the_start_is_an_error():
    with pytest.raises(ResponseError, match="before"):
        Wire().send(GET).exchange.write(b"", False)


def test_body_after_the_end_is_an_error():
    wire = Wire(answer).send(GET)
    with pytest.raises(ResponseError, match="after"):
        wire.exchange.write(b"x", False)


@pytest.mark.parametrize("data", ["text", None, 5, [b"x"]])
def test_body_that_is_no_bytes_is_an_error(data):
    exchange = Wire().send(GET).exchange
    exchange.start_response(200, [])
    with pytest.raises(ResponseError):
        exchange.write(data, False)


def test_failed_start_leaves_room_for_another():
    wire = Wire().send(GET)
    with pytest.raises(ResponseError):
        wire.exchange.start_response(200, [(b"a b", b"")])
    answer(wire.exchange)
    assert wire.statuses == [200]


@pytest.mark.parametrize("body", [b"hell", b"hello!", b""])
def test_body_that_breaks_its_content_length_before_anything_was_sent_becomes_a_500(body):
    wire = Wire().send(GET)
    exchange = wire.exchange
    exchange.start_response(200, [(b"content-length", b"5")])
    with pytest.raises(ResponseError) as caught:
        exchange.write(body, False)
    exchange.end(caught.value)
    wire.loop.run_soon()
    assert wire.statuses == [500]
    assert wire.how_it_ended == "open"


@pytest.mark.parametrize(("second", "sent"), [(b"l", b"hel"), (b"lo!", b"hel")])
def test_body_that_breaks_its_content_length_later_is_cut_before_the_fault(second, sent):
    wire = Wire().send(GET)
    exchange = wire.exchange
    exchange.start_response(200, [(b"content-length", b"5")])
    exchange.write(b"hel", True)
    with pytest.raises(ResponseError, match="Content-Length"):
        exchange.write(second, False)
    assert wire.raw.endswith(b"\r\n\r\n" + sent)
    assert wire.how_it_ended == "lingering"
    assert len(wire.owner.broken) == 1


def test_end_of_the_body_is_checked_when_it_comes_alone():
    wire = Wire().send(GET)
    wire.exchange.start_response(200, [(b"content-length", b"5")])
    wire.exchange.write(b"hel", True)
    with pytest.raises(ResponseError):
        wire.exchange.write(b"", False)


# --- ends without a response ---


def test_error_before_the_start_becomes_a_500_and_is_told():
    wire = Wire().send(GET)
    error = ValueError("boom")
    wire.exchange.end(error)
    wire.loop.run_soon()
    assert wire.statuses == [500]
    assert wire.owner.failures == [("/", error)]
    assert wire.how_it_ended == "open"


def test_error_after_the_start_but_before_the_first_byte_becomes_a_500():
    wire = Wire().send(GET)
    wire.exchange.start_response(200, [(b"set-cookie", b"secret")])
    wire.exchange.end(ValueError("boom"))
    assert wire.statuses == [500]
    assert b"secret" not in wire.raw


def test_error_within_a_chunked_body_leaves_it_without_its_end():
    wire = Wire().send(GET)
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"x", True)
    wire.exchange.end(ValueError("boom"))
    assert wire.raw.endswith(b"1\r\nx\r\n")
    assert wire.how_it_ended == "lingering"


def test_error_within_a_body_until_close_resets_the_connection():
    wire = Wire().send(OLD)
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"x", True)
    wire.exchange.end(ValueError("boom"))
    assert wire.how_it_ended == "reset"


def test_application_that_ends_without_a_response_is_reported():
    wire = Wire().send(GET)
    wire.exchange.end()
    assert wire.statuses == [500]
    assert len(wire.owner.broken) == 1


def test_error_after_the_response_is_told_and_changes_nothing():
    wire = Wire().send(GET)
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"", False)
    wire.exchange.end(ValueError("background"))
    wire.send(GET)
    assert wire.statuses == [200]
    assert len(wire.exchanges) == 2
    assert len(wire.owner.failures) == 1


def test_error_of_a_head_request_has_no_body():
    wire = Wire().send(HEAD)
    wire.exchange.end(ValueError("boom"))
    assert wire.raw.endswith(b"\r\n\r\n")


# --- a client that is gone ---


def test_writing_to_a_client_that_is_gone_does_nothing():
    wire = Wire().send(GET)
    exchange = wire.exchange
    exchange.start_response(200, [])
    wire.vanish()
    assert exchange.disconnected
    exchange.write(b"x", True)
    exchange.write(b"x", False)
    exchange.end()
    assert wire.raw == b""
    assert [told[:3] for told in wire.owner.finished] == [("/", 0, 0)]


def test_response_may_be_started_after_the_client_is_gone():
    wire = Wire().send(GET)
    wire.vanish()
    answer(wire.exchange)
    assert wire.owner.broken == []


# --- interim responses and trailers ---

EARLY = (103, [(b"Link", b"</style.css>; rel=preload"), (b"content-length", b"5")])


def test_interim_response_is_sent_before_the_final_one():
    wire = Wire().send(GET)
    wire.exchange.send_interim(*EARLY)
    assert wire.raw == b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    answer(wire.exchange)
    assert wire.statuses == [103, 200]
    assert wire.send(GET).how_it_ended == "open"


def test_http_1_0_gets_no_interim_response():
    wire = Wire().send(OLD)
    wire.exchange.send_interim(*EARLY)
    assert wire.raw == b""


def test_interim_response_does_not_take_the_place_of_100_continue():
    wire = Wire().send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    wire.exchange.send_interim(*EARLY)
    wire.exchange.take_body()
    assert wire.statuses == [103, 100]


def respond_with_trailers(request, headers, *pieces):
    wire = Wire().send(request)
    wire.exchange.start_response(200, headers, trailers=True)
    for number, piece in enumerate(pieces, start=1):
        wire.exchange.write(piece, number < len(pieces))
    wire.exchange.send_trailers([(b"Digest", b"x"), (b"grpc-status", b"0")])
    wire.exchange.end()
    wire.turn()
    return wire, wire.raw.partition(b"Server: gracehttp\r\n")[2]


def test_trailers_are_sent_behind_the_last_chunk():
    wire, raw = respond_with_trailers(GET, [], b"he", b"llo")
    assert raw == b"\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nDigest: x\r\ngrpc-status: 0\r\n\r\n"
    assert wire.how_it_ended == "open"
    assert len(wire.send(GET).exchanges) == 2


def test_body_in_one_piece_is_chunked_when_trailers_follow():
    _, raw = respond_with_trailers(GET, [], b"hello")
    assert raw == b"\r\n5\r\nhello\r\n0\r\nDigest: x\r\ngrpc-status: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "headers", "expected", "how_it_ended"),
    [
        (GET, [(b"content-length", b"5")], b"\r\nhello", "open"),
        (HEAD, [], b"\r\n", "open"),
        (OLD, [], b"Connection: close\r\n\r\nhello", "closed"),
    ],
    ids=["Content-Length", "HEAD", "HTTP/1.0"],
)
def test_trailers_are_dropped_where_the_framing_has_no_place_for_them(request_bytes, headers, expected, how_it_ended):
    wire, raw = respond_with_trailers(request_bytes, headers, b"hello")
    assert raw == expected
    assert wire.how_it_ended == how_it_ended


def test_chunked_body_whose_trailers_do_not_come_has_no_end():
    wire = Wire().send(GET)
    wire.exchange.start_response(200, [], trailers=True)
    wire.exchange.write(b"hello", False)
    wire.exchange.end()
    assert wire.raw.endswith(b"5\r\nhello\r\n")
    assert wire.how_it_ended == "lingering"


def test_access_log_counts_body_bytes_without_framing_and_trailers():
    wire, _ = respond_with_trailers(GET, [], b"he", b"llo")
    assert [told[:3] for told in wire.owner.finished] == [("/", 200, 5)]


# --- fields about the connection (RFC 9110 section 7.6.1) ---


@pytest.mark.parametrize(
    ("request_bytes", "connection"),
    [
        (GET, b"upgrade"),
        (OLD, b"close, upgrade"),
        (OLD.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"), b"keep-alive, upgrade"),
        (GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), b"close, upgrade"),
    ],
)
def test_upgrade_is_said_in_connection_too(request_bytes, connection):
    _, rest = respond(request_bytes, 426, [(b"Upgrade", b"HTTP/2.0"), (b"content-length", b"0")], b"")
    assert rest == b"Content-Length: 0\r\nConnection: %b\r\nUpgrade: HTTP/2.0\r\n\r\n" % connection


def test_fields_that_change_nothing_are_left_out_and_the_worker_is_told():
    wire, rest = respond(GET, 200, [(b"Connection", b"x-mine"), (b"a", b"b")], b"x")
    assert rest == b"a: b\r\nContent-Length: 1\r\n\r\nx"
    ((path, kind, reason),) = wire.owner.corrected
    assert (path, kind) == ("/", "connection")
    assert "Connection: x-mine" in reason
    assert wire.owner.broken == []


def test_the_same_fields_begin_responses_of_each_status_and_method():
    """What is kept of a response that had them is not said of another one."""
    headers = [(b"content-type", b"text/x-begins"), (b"content-length", b"3")]
    for _ in range(3):
        for status, line in ((200, b"HTTP/1.1 200 OK"), (404, b"HTTP/1.1 404 Not Found"), (299, b"HTTP/1.1 299 ")):
            wire, below = respond(GET, status, [*headers], b"abc")
            assert wire.raw.startswith(line + b"\r\n")
            assert below == b"content-type: text/x-begins\r\nContent-Length: 3\r\n\r\nabc"
        assert respond(HEAD, 200, [*headers], b"abc")[1] == below.removesuffix(b"abc")
        closes = b"Content-Length: 3\r\nConnection: close\r\n"
        assert respond(OLD, 200, [*headers], b"abc")[1] == below.replace(b"Content-Length: 3\r\n", closes)
