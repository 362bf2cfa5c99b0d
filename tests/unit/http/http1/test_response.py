import pytest

from gracehttp.http.exchange import ResponseError
from gracehttp.http.response_head import (
    CHUNKED,
    COUNTED,
    NO_BODY,
    UNTIL_CLOSE,
    ResponseFields,
    choose_framing,
    connection_line,
    date_line,
    error_response,
    framing_line,
    status_line,
)


@pytest.mark.parametrize(
    "header",
    [
        (b"a b", b"c"),
        (b"a:", b"c"),
        (b"", b"c"),
        (b"a\r\n", b"c"),
        (b"\xc3\xa9", b"c"),
        (b"a", b"c\r\nd: e"),
        (b"a", b"c\n"),
        (b"a", b"\rc"),
        (b"a", b"c\0"),
        ("a", b"c"),
        (b"a", "c"),
        (b"a", None),
        (b"a", 1),
        ([], b"c"),
        (b"a",),
        (b"a", b"b", b"c"),
        None,
        (b"content-length", b"-1"),
        (b"content-length", b"1, 1"),
        (b"content-length", b""),
        (b"content-length", 5),
        (b"content-length", "5"),
        (b"connection", None),
        (b"connection", "close"),
        (b"date", None),
    ],
)
def test_header_that_can_not_be_sent_is_the_applications_error(header):
    with pytest.raises(ResponseError):
        ResponseFields([(b"x-good", b"1"), header])


def test_error_names_the_header_with_the_line_break():
    with pytest.raises(ResponseError, match="x-bad"):
        ResponseFields([(b"x-good", b"1"), (b"x-bad", b"a\r\nb"), (b"x-fine", b"2")])


def test_faults_of_two_values_do_not_cancel_each_other():
    with pytest.raises(ResponseError):
        ResponseFields([(b"a", b"\r"), (b"b", b"\n")])


def test_content_lengths_that_differ_are_an_error():
    with pytest.raises(ResponseError, match="differ"):
        ResponseFields([(b"content-length", b"1"), (b"Content-Length", b"2")])


def test_fields_of_the_application_are_kept_in_order_and_case():
    fields = ResponseFields([(b"Set-Cookie", b"a=1"), (b"x-b", b""), (b"Set-Cookie", b"b=2")])
    assert fields.block == b"Set-Cookie: a=1\r\nx-b: \r\nSet-Cookie: b=2\r\n"


def test_framing_fields_are_read_and_left_to_the_server():
    fields = ResponseFields(
        [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked"), (b"Connection", b"x, Close")]
    )
    assert (fields.block, fields.content_length, fields.closes) == (b"", 5, True)


def test_connection_keep_alive_of_the_application_means_nothing():
    assert not ResponseFields([(b"connection", b"keep-alive")]).closes


def test_own_date_and_server_are_noticed():
    fields = ResponseFields([(b"DATE", b"now"), (b"server", b"mine")])
    assert fields.has_date
    assert fields.has_server
    assert fields.block == b"DATE: now\r\nserver: mine\r\n"


def test_headers_may_be_lists_and_come_from_a_generator():
    assert ResponseFields([name, value] for name, value in [(b"a", b"b")]).block == b"a: b\r\n"


def test_many_different_names_do_not_grow_memory():
    from gracehttp.http import response_head

    for number in range(3000):
        ResponseFields([(b"x-%d" % number, b"")])
    assert len(response_head._known_names) <= 1100
    with pytest.raises(ResponseError):
        ResponseFields([(b"never seen", b"")])


@pytest.mark.parametrize(
    ("is_head", "status", "http11", "length", "framing"),
    [
        (False, 200, True, 5, COUNTED),
        (False, 200, True, 0, COUNTED),
        (False, 200, True, -1, CHUNKED),
        (False, 200, False, 5, COUNTED),
        (False, 200, False, -1, UNTIL_CLOSE),
        (True, 200, True, 5, NO_BODY),
        (True, 200, False, -1, NO_BODY),
        (False, 204, True, -1, NO_BODY),
        (False, 304, True, 5, NO_BODY),
    ],
)
def test_framing_follows_from_method_status_version_and_length(is_head, status, http11, length, framing):
    assert choose_framing(is_head, status, http11, length) == framing


@pytest.mark.parametrize(
    ("framing", "status", "length", "line"),
    [
        (COUNTED, 200, 5, b"Content-Length: 5\r\n"),
        (COUNTED, 200, 0, b"Content-Length: 0\r\n"),
        (CHUNKED, 200, -1, b"Transfer-Encoding: chunked\r\n"),
        (UNTIL_CLOSE, 200, -1, b""),
        (NO_BODY, 200, 5, b"Content-Length: 5\r\n"),
        (NO_BODY, 304, 5, b"Content-Length: 5\r\n"),
        (NO_BODY, 204, 5, b""),
        (NO_BODY, 200, -1, b""),
    ],
)
def test_framing_is_announced_as_the_rfc_says(framing, status, length, line):
    assert framing_line(framing, status, length) == line


def test_each_version_is_told_what_it_does_not_assume():
    assert connection_line(http11=True, close=True) == b"Connection: close\r\n"
    assert connection_line(http11=True, close=False) == b""
    assert connection_line(http11=False, close=False) == b"Connection: keep-alive\r\n"


def test_date_has_the_fixed_form():
    assert date_line(784111777) == b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


def test_status_without_a_registered_phrase_has_an_empty_one():
    assert status_line(299) == b"HTTP/1.1 299 \r\n"


def test_error_response_is_whole_and_says_that_it_is_the_last():
    assert b"".join(error_response(400, "no Host field", second=784111777)) == (
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 31\r\n"
        b"Connection: close\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: gracehttp\r\n\r\n"
        b"400 Bad Request: no Host field\n"
    )


def test_error_response_to_head_has_no_body():
    head, body = error_response(400, "x", second=0, without_body=True)
    assert (head[-4:], body) == (b"\r\n\r\n", b"")
