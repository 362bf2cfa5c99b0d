"""The fields of a response: what is checked, and what means something to the server."""

import pytest

from gracehttp.http import fields as fields_module
from gracehttp.http.fields import ResponseError, ResponseFields, response_fields, trailer_fields


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
        *((b"a", b"c" + bytes([control])) for control in (1, 8, 11, 12, 27, 31, 127)),
        (b"a\x7f", b"c"),
        (b"connection", b"close\x01"),
        (b"keep-alive", None),
        (b"upgrade", b"\x02"),
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


@pytest.mark.parametrize(
    "field",
    [
        *((b"Connection", b"keep-alive, X-Mine"), (b"connection", b"close, X-Mine"), (b"Keep-Alive", b"timeout=5")),
        *((b"proxy-connection", b"keep-alive"), (b"TE", b"trailers")),
    ],
)
def test_fields_of_the_connection_that_change_nothing_are_dropped_and_told(field):
    for _ in range(2):
        fields = ResponseFields([(b"a", b"b"), field])
        assert fields.block == b"a: b\r\n"
        assert fields.dropped == field


@pytest.mark.parametrize("value", [b"close", b"Close, Upgrade", b"upgrade", b"keep-alive", b"Keep-Alive"])
def test_what_the_response_says_anyway_is_not_told_as_dropped(value):
    assert ResponseFields([(b"Connection", value), (b"Upgrade", b"x")]).dropped is None


def test_a_tab_in_a_value_is_sent():
    assert ResponseFields([(b"a", b"b\tc\xff")]).block == b"a: b\tc\xff\r\n"


def test_upgrade_is_for_protocols_that_have_it():
    fields = ResponseFields([(b"Upgrade", b"TLS/1.0"), (b"upgrade", b"HTTP/2.0")])
    assert fields.upgrade == b"TLS/1.0, HTTP/2.0"
    assert (fields.block, list(fields.pairs)) == (b"", [])


def test_own_date_and_server_are_noticed():
    fields = ResponseFields([(b"DATE", b"now"), (b"server", b"mine")])
    assert fields.has_date
    assert fields.has_server
    assert fields.block == b"DATE: now\r\nserver: mine\r\n"


def test_headers_may_be_lists_and_come_from_a_generator():
    assert ResponseFields([name, value] for name, value in [(b"a", b"b")]).block == b"a: b\r\n"


def test_many_different_names_do_not_grow_memory():
    for number in range(3000):
        ResponseFields([(b"x-%d" % number, b"")])
    assert len(fields_module._known_names) <= 1100
    with pytest.raises(ResponseError):
        ResponseFields([(b"never seen", b"")])


def test_fields_are_there_as_pairs_for_protocols_without_lines():
    fields = ResponseFields([(b"Set-Cookie", b"a=1"), (b"content-length", b"1"), (b"x-b", b"")])
    assert list(fields.pairs) == [(b"Set-Cookie", b"a=1"), (b"x-b", b"")]


def test_fields_that_are_remembered_are_the_same_as_at_first():
    headers = [
        (b"Vary", b"x"),
        (b"X-Seen", b"1"),
        (b"content-length", b"3"),
        (b"connection", b"close"),
        (b"date", b"d"),
        (b"x-b", b""),
    ]
    facts = []
    for _ in range(3):
        fields = ResponseFields(headers)
        facts.append((fields.block, list(fields.pairs), fields.content_length, fields.closes, fields.has_date))
    assert facts[0] == facts[1] == facts[2]
    assert facts[0][2:] == (3, True, True)


def test_many_different_values_do_not_grow_memory():
    for number in range(3000):
        ResponseFields([(b"content-type", b"text/%d" % number)])
    assert len(fields_module._known_lines) <= 1024


@pytest.mark.parametrize("name", [b"Set-Cookie", b"set-cookie", b"ETag", b"x-session", b"WWW-Authenticate", b"x-trace"])
def test_fields_that_differ_from_response_to_response_are_not_remembered(name):
    ResponseFields([(name, b"never to be seen again")])
    assert not any(value == b"never to be seen again" for _, value in fields_module._known_lines)


def test_value_with_a_line_break_is_an_error_each_time():
    for _ in range(2):
        for name in (b"x-plain", b"date", b"server", b"connection"):
            with pytest.raises(ResponseError):
                ResponseFields([(name, b"a\r\nb: c")])


# --- trailers (RFC 9110 section 6.5.1) ---


def test_trailer_fields_are_checked_as_others_are():
    assert trailer_fields([(b"Digest", b"x"), (b"grpc-status", b"0")]).block == b"Digest: x\r\ngrpc-status: 0\r\n"
    for bad in ((b"a b", b""), (b"a", b"b\r\nc: d"), ("a", b"b"), (b"a",)):
        with pytest.raises(ResponseError):
            trailer_fields([(b"x-good", b"1"), bad])


@pytest.mark.parametrize(
    "name",
    [
        *(b"Content-Length", b"Transfer-Encoding", b"connection", b"host", b"trailer", b"te", b"expect", b"upgrade"),
        *(b"authorization", b"Set-Cookie", b"content-type", b"content-encoding", b"content-range", b"cache-control"),
    ],
)
def test_field_that_frames_routes_or_authorizes_is_no_trailer(name):
    with pytest.raises(ResponseError, match="trailer"):
        trailer_fields([(b"digest", b"x"), (name, b"1")])


def test_trailers_may_come_from_a_generator():
    assert trailer_fields((name, b"1") for name in (b"a", b"b")).block == b"a: 1\r\nb: 1\r\n"


# --- fields that are given again ---

HARMLESS = [(b"content-type", b"text/x-shared"), (b"vary", b"accept"), (b"content-length", b"13")]


def given_again(headers):
    """What is made of the third response that has them: by then, what can be remembered is."""
    for _ in range(2):
        response_fields([*headers])
    return response_fields([*headers])


def test_harmless_fields_are_made_once():
    fields = given_again(HARMLESS)
    assert response_fields([*HARMLESS]) is fields
    assert fields.shared
    assert (fields.block, fields.content_length) == (b"content-type: text/x-shared\r\nvary: accept\r\n", 13)


@pytest.mark.parametrize(
    "header",
    [
        (b"set-cookie", b"session=secret"),
        (b"x-request-id", b"1"),
        (b"content-length", b"1234567890"),
        (b"connection", b"close"),
        (b"date", b"today"),
        (b"content-type", b"x" * 300),
    ],
)
def test_fields_of_which_one_is_not_remembered_are_made_each_time(header):
    headers = [(b"vary", b"x-not-remembered"), header]
    fields = given_again(headers)
    assert response_fields([*headers]) is not fields
    assert not fields.shared


@pytest.mark.parametrize(
    "header",
    [(b"vary", "accept"), ("vary", b"accept"), (b"vary", b"a\r\nb: c"), [b"vary"], (b"vary", b"a", b"b"), None],
)
def test_what_is_wrong_is_wrong_each_time(header):
    given_again(HARMLESS)
    for _ in range(3):
        with pytest.raises(ResponseError):
            response_fields([*HARMLESS, header])


def test_pairs_that_are_lists_have_no_hash_and_are_fields():
    fields = given_again([list(pair) for pair in HARMLESS])
    assert (fields.block, fields.shared) == (given_again(HARMLESS).block, False)


def test_remembered_fields_do_not_grow_without_end():
    for length in range(3 * fields_module._MOST_REMEMBERED):
        given_again([(b"vary", b"accept"), (b"content-length", b"%d" % length)])
    if hasattr(fields_module, "_known_fields"):
        assert len(fields_module._known_fields) <= fields_module._MOST_REMEMBERED


def test_fields_that_responses_share_have_no_head_before_the_first_response():
    fields = given_again(HARMLESS)
    assert fields.shared
    assert fields.latest_head is None
    assert fields is given_again(HARMLESS)


def test_a_list_that_the_application_changes_is_not_taken_for_the_latest_one() -> None:
    headers = [*HARMLESS]
    before = given_again(headers)
    assert response_fields(headers) is before

    headers[0] = (b"content-type", b"text/other")

    assert response_fields(headers).block.startswith(b"content-type: text/other\r\n")
    assert response_fields([*HARMLESS]) is before


def test_a_length_that_no_body_has_is_refused() -> None:
    assert ResponseFields([(b"content-length", b"%d" % (2**63 - 1))]).content_length == 2**63 - 1
    with pytest.raises(ResponseError, match="more than any body has"):
        ResponseFields([(b"content-length", b"%d" % 2**63)])
