import pytest

from gracehttp.http.http1.checks import (
    RequestError,
    is_valid_host,
    method_status,
    parser_refusal,
    read_bad_line,
    read_framing,
    too_large_status,
)

HOST = (b"host", b"a")


@pytest.mark.parametrize(
    ("method", "version", "fields", "status"),
    [
        ("GET", "2.0", [HOST], 505),
        ("GET", "0.9", [], 505),
        ("GET", "1.1", [], 400),
        ("GET", "1.1", [HOST, HOST], 400),
        ("GET", "1.0", [HOST, HOST], 400),
        ("POST", "1.1", [HOST, (b"content-length", b"5".zfill(21))], 400),
        ("POST", "1.1", [HOST, (b"content-length", b"5".zfill(5000))], 400),  # more than int() takes
        ("POST", "1.0", [(b"transfer-encoding", b"chunked")], 400),
        ("POST", "1.1", [HOST, (b"transfer-encoding", b"gzip, chunked")], 501),
        ("POST", "1.1", [HOST, (b"transfer-encoding", b"gzip"), (b"transfer-encoding", b"chunked")], 501),
        ("POST", "1.1", [HOST, (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")], 501),
        ("POST", "1.1", [HOST, (b"expect", b"200-ok")], 417),
        ("CONNECT", "1.1", [HOST], 501),
    ],
)
def test_head_that_can_not_be_served_is_refused_with_its_status(method, version, fields, status):
    with pytest.raises(RequestError) as caught:
        read_framing(method, version, fields)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("version", "values", "keep_alive"),
    [
        ("1.1", [], True),
        ("1.1", [b"close"], False),
        ("1.1", [b"Close"], False),
        ("1.1", [b"keep-alive"], True),
        ("1.1", [b"keep-alive, close"], False),
        ("1.1", [b"close, keep-alive"], False),
        ("1.1", [b"close", b"keep-alive"], False),
        ("1.1", [b"closed"], True),
        ("1.0", [], False),
        ("1.0", [b"Keep-Alive"], True),
        ("1.0", [b"TE, keep-alive"], True),
        ("1.0", [b"keep-alive", b"close"], False),
    ],
)
def test_connection_field_says_whether_the_client_wants_to_go_on(version, values, keep_alive):
    fields = [HOST, *((b"connection", value) for value in values)]
    assert read_framing("GET", version, fields).keep_alive is keep_alive


def test_expectation_of_http_1_0_is_ignored():
    assert not read_framing("POST", "1.0", [(b"expect", b"100-continue")]).expects_continue


def test_expectation_is_compared_without_regard_to_case():
    assert read_framing("POST", "1.1", [HOST, (b"expect", b"100-Continue")]).expects_continue


@pytest.mark.parametrize(
    "host", [b"", b"example.com", b"example.com:80", b"a_b", b"127.0.0.1:8000", b"[::1]", b"[::1]:80", b"a:", b"%41"]
)
def test_host_of_the_grammar_is_valid(host):
    assert is_valid_host(host)


@pytest.mark.parametrize(
    "host", [b"a b", b"a/b", b"a@b", b"\xc3\xa9", b"a:b", b"a:80:80", b"[::1", b"::1", b"a,b\t", b"<a>", b"a?b", b"a#b"]
)
def test_host_with_other_characters_is_invalid(host):
    assert not is_valid_host(host)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"FOO / HTTP/1.1", 501),
        (b"GETX ", 501),
        (b"get / HTTP/1.1", 501),
        (b"FO", None),
        (b"FOO\r\n", 400),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"F\x00", 400),
        (b'{"a": 1}', 400),
        (b" GET", 400),
        (b"A" * 257, 400),
        (b"A" * 257 + b" / HTTP/1.1", 400),
    ],
)
def test_token_is_an_unknown_method_and_anything_else_is_garbage(line, status):
    assert method_status(line) == status


def test_unknown_parser_error_is_a_malformed_request():
    assert parser_refusal("something new").status == 400


def test_http_2_is_named_to_a_client_that_begins_with_its_preface():
    refusal = parser_refusal("Pause on PRI/Upgrade")
    assert (refusal.status, refusal.reason.startswith("HTTP/2 with prior knowledge")) == (505, True)


@pytest.mark.parametrize(
    ("line", "method", "target"),
    [
        (b"BREW /pot HTTP/1.1\r\nHost: a\r\n", "BREW", b"/pot"),
        (b"BREW /p", "BREW", b""),
        (b"BREW", "", b""),
        (b"\x16\x03\x01\x02\x00", "", b""),
    ],
)
def test_of_a_line_with_an_unknown_method_is_told_what_is_sure(line, method, target):
    assert read_bad_line(line) == (method, target)


@pytest.mark.parametrize(("target_size", "status"), [(0, 431), (500, 431), (501, 414), (1000, 414)])
def test_target_is_to_blame_if_it_takes_more_than_half_of_the_head(target_size, status):
    assert too_large_status(target_size, 1000) == status
