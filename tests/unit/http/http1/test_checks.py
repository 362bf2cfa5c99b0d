"""What makes a head unacceptable."""

import pytest

from gracehttp.http.http1.checks import METHODS, RequestError, check_target, is_valid_host, read_framing, too_large

HOST = (b"host", b"a")


@pytest.mark.parametrize(
    ("version", "fields", "status"),
    [
        ("1.1", [], 400),
        ("1.1", [HOST, HOST], 400),
        ("1.0", [HOST, HOST], 400),
        ("1.1", [(b"host", b"a b")], 400),
        ("1.0", [(b"host", b"a b")], 400),
        ("1.1", [HOST, (b"content-length", b"5".zfill(21))], 400),
        ("1.1", [HOST, (b"content-length", b"5".zfill(5000))], 400),  # more than int() takes
        ("1.1", [HOST, (b"content-length", b"%d" % 2**64)], 400),
        ("1.1", [HOST, (b"content-length", b"")], 400),
        ("1.1", [HOST, (b"content-length", b"-1")], 400),
        ("1.1", [HOST, (b"content-length", b"1_0")], 400),
        ("1.1", [HOST, (b"content-length", b"5"), (b"content-length", b"5")], 400),
        ("1.1", [HOST, (b"content-length", b"5"), (b"transfer-encoding", b"chunked")], 400),
        ("1.1", [HOST, (b"transfer-encoding", b"chunked"), (b"content-length", b"0")], 400),
        ("1.0", [(b"transfer-encoding", b"chunked")], 400),
        ("1.1", [HOST, (b"transfer-encoding", b"gzip, chunked")], 501),
        ("1.1", [HOST, (b"transfer-encoding", b"gzip"), (b"transfer-encoding", b"chunked")], 501),
        ("1.1", [HOST, (b"transfer-encoding", b"")], 400),
        ("1.1", [HOST, (b"transfer-encoding", b"gzip")], 400),
        ("1.1", [HOST, (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"gzip")], 400),
        ("1.1", [HOST, (b"transfer-encoding", b", chunked")], 400),
        ("1.1", [HOST, (b"transfer-encoding", b"chunked;q=1")], 400),
        ("1.1", [HOST, (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")], 400),
        ("1.1", [HOST, (b"transfer-encoding", b"chunked, identity")], 400),
        ("1.1", [HOST, (b"expect", b"200-ok")], 417),
    ],
)
def test_head_that_can_not_be_served_is_refused_with_its_status(version, fields, status):
    with pytest.raises(RequestError) as caught:
        read_framing(version, fields)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("fields", "has_body", "chunked", "content_length"),
    [
        ([], False, False, -1),
        ([(b"content-length", b"0")], False, False, 0),
        ([(b"content-length", b"5")], True, False, 5),
        ([(b"content-length", b"005")], True, False, 5),
        ([(b"content-length", b"%d" % (2**64 - 1))], True, False, 2**64 - 1),
        ([(b"transfer-encoding", b"Chunked")], True, True, -1),
    ],
)
def test_framing_of_the_body_is_read(fields, has_body, chunked, content_length):
    framing = read_framing("1.1", [HOST, *fields])
    assert (framing.has_body, framing.chunked, framing.content_length) == (has_body, chunked, content_length)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        (b"GET", b"/", None),
        (b"GET", b"/a?b", None),
        (b"OPTIONS", b"*", None),
        (b"GET", b"http://a", None),
        (b"GET", b"HTTPS://a:1/b?c", None),
        (b"GET", b"*", 400),
        (b"OPTIONS", b"**", 400),
        (b"GET", b"a:80", 400),
        (b"GET", b"ftp://a/", 400),
        (b"GET", b"http://", 400),
        (b"GET", b"http://:1/", 400),
        (b"GET", b"http://a:b/", 400),
        (b"GET", b"/a#b", 400),
        (b"CONNECT", b"a:1", 501),
        (b"CONNECT", b"/", 501),
    ],
)
def test_target_is_judged_by_its_form(method, target, status):
    if status is None:
        check_target(method, target)
        return
    with pytest.raises(RequestError) as caught:
        check_target(method, target)
    assert caught.value.status == status


def test_methods_of_the_rfc_and_of_webdav_are_known():
    known = (
        b"GET HEAD POST PUT DELETE OPTIONS TRACE CONNECT PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT"
    )
    assert set(known.split()) <= METHODS


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
    assert read_framing(version, fields).keep_alive is keep_alive


def test_expectation_of_http_1_0_is_ignored():
    assert not read_framing("1.0", [(b"expect", b"100-continue"), (b"content-length", b"1")]).expects_continue


def test_expectation_is_compared_without_regard_to_case():
    assert read_framing("1.1", [HOST, (b"expect", b"100-Continue"), (b"content-length", b"1")]).expects_continue


@pytest.mark.parametrize(
    "host",
    [
        *(
            b"",
            b"example.com",
            b"example.com:80",
            b"a_b",
            b"127.0.0.1:8000",
            b"a:",
            b"%41",
            b"a%C3%a9b",
            b"~a!$&'()*+,;=",
        ),
        *(b"[::1]", b"[::1]:80", b"[::]", b"[1:2:3:4:5:6:7:8]", b"[1:2:3:4:5:6:7::]", b"[::ffff:192.0.2.1]"),
        *(b"[v1.a]", b"[VF.::1]:80", b"[v1f.a-b~!$&'()*+,;=:]"),
    ],
)
def test_host_of_the_grammar_is_valid(host):
    assert is_valid_host(host)


@pytest.mark.parametrize(
    "host",
    [
        *(b"a b", b"a/b", b"a@b", b"\xc3\xa9", b"a:b", b"a:80:80", b"[::1", b"::1", b"a,b\t", b"<a>", b"a?b", b"a#b"),
        *(b"%", b"a%4", b"%zz", b"%4g", b"%%41", b"a\\b", b"a|b", b"a\n"),
        *(b"[]", b"[zz::1]", b"[::;1]", b"[a.example]", b"[127.0.0.1]", b"[1:2:3:4:5:6:7]", b"[1::2::3]", b"[12345::]"),
        *(b"[::1%25eth0]", b"[::1%eth0]", b"[::ffff:192.0.2.256]", b"[::ffff:192.0.2.01]", b"[::1]a", b"a[::1]"),
        *(b"[[::1]]", b"[::1]]", b"[::1\n]", b"[v.a]", b"[v1.]", b"[v1a]", b"[vg.a]", b"[v1.a%41]", b"[v1.a/b]"),
    ],
)
def test_host_with_other_characters_is_invalid(host):
    assert not is_valid_host(host)


@pytest.mark.parametrize(("target_size", "status"), [(0, 431), (500, 431), (501, 414), (1000, 414)])
def test_target_is_to_blame_if_it_takes_more_than_half_of_the_head(target_size, status):
    assert too_large(target_size, 1000).status == status
