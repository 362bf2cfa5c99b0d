"""A connection keeps the fields of its latest head: what is known already is not parsed again, and nothing else."""

import threading

import pytest
from http_fakes import Wire

from gracehttp.http.exchange import Exchange
from gracehttp.http.http1 import parser
from gracehttp.http.http1.checks import RequestError
from gracehttp.http.http1.parser import Http1Head, LatestFields, parse_known_head
from gracehttp.http.http1.parser import parse_head as parse_whole_head

FIELDS = b"Host: example.org\r\nCookie: a=b\r\nX-Seen: 1\r\n\r\n"


def parse_head(block: bytes, scheme: str, latest: LatestFields | None = None) -> Http1Head:
    """As a protocol does it."""
    known = parse_known_head(block, scheme, latest) if latest is not None else None
    return known if known is not None else parse_whole_head(block, scheme, latest)


def said(head: parser.Http1Head) -> tuple[object, ...]:
    framing = head.framing
    return (
        *(head.method, head.target, head.http_version, head.headers, framing.host),
        *(framing.keep_alive, framing.content_length, framing.has_body),
    )


def latest_after(block: bytes) -> LatestFields:
    latest = LatestFields()
    parse_head(block, "http", latest)
    return latest


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1", b"POST /other?a=b HTTP/1.1", b"HEAD /other HTTP/1.0"])
@pytest.mark.parametrize("fields", [FIELDS, b"Host: other\r\n\r\n", b"X-More: 2\r\n" + FIELDS, b"X: GET\r\n" + FIELDS])
def test_a_head_says_the_same_whatever_is_kept(first: bytes, fields: bytes) -> None:
    block = first + b"\r\n" + fields
    latest = latest_after(b"GET /first HTTP/1.1\r\n" + FIELDS)

    for _ in range(2):
        assert said(parse_head(block, "http", latest)) == said(parse_head(block, "http"))


def test_known_fields_are_not_parsed_again() -> None:
    latest = latest_after(b"GET / HTTP/1.1\r\n" + FIELDS)

    head = parse_head(b"GET /other HTTP/1.1\r\n" + FIELDS, "http", latest)

    assert head.framing is latest.framing
    # Of a cookie, which no other memory keeps, it is the same object.
    assert head.headers[1] is latest.headers[1]


def test_what_an_application_does_to_its_headers_is_not_kept() -> None:
    block = b"GET / HTTP/1.1\r\n" + FIELDS
    latest = LatestFields()
    for _ in range(3):
        head = parse_head(block, "http", latest)
        assert len(head.headers) == 3
        head.headers.clear()


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET / HTTP/1.1\r\nBad Name: x",
        b"GET / HTTP/1.1\r\nHost: two",
        b"GET / HTTP/1.1\rX: y",
        b"GET / HTTP/1.1\r",
        b"GET / HTTP/1.1\n",
        b"GET  / HTTP/1.1",
        b"",
    ],
)
def test_a_beginning_that_is_wrong_stays_wrong(beginning: bytes) -> None:
    block = beginning + b"\r\n" + FIELDS
    with pytest.raises(RequestError) as alone:
        parse_head(block, "http")

    with pytest.raises(RequestError) as known:
        parse_head(block, "http", latest_after(b"GET / HTTP/1.1\r\n" + FIELDS))

    assert known.value.status == alone.value.status


def test_the_authority_of_a_target_replaces_a_known_host() -> None:
    latest = latest_after(b"GET / HTTP/1.1\r\n" + FIELDS)

    head = parse_head(b"GET http://other.example/ HTTP/1.1\r\n" + FIELDS, "http", latest)

    assert head.headers[0] == (b"host", b"other.example")
    assert parse_head(b"GET / HTTP/1.1\r\n" + FIELDS, "http", latest).headers[0] == (b"host", b"example.org")


def test_framing_of_another_version_is_not_taken() -> None:
    latest = latest_after(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

    assert not parse_head(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", "http", latest).framing.keep_alive


def test_so_many_connections_keep_something_and_no_more() -> None:
    many = [latest_after(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(1000)]

    kept = [one for one in many if one.block]

    assert kept == many[-len(kept) :]
    assert len(kept) == 256


def test_long_fields_are_not_kept() -> None:
    latest = latest_after(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

    parse_head(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 3000 + b"\r\n\r\n", "http", latest)

    assert not latest.block
    assert not latest.headers


@pytest.mark.parametrize(
    ("field", "unforwarded"),
    [
        (b"X-Seen: 1", True),
        (b"X-Forwarded-For: 192.0.2.1", False),
        (b"forwarded: for=192.0.2.1", False),
        (b"X_Real_Ip: 192.0.2.1", False),
    ],
)
def test_fields_that_come_again_are_known_to_tell_of_no_client(field: bytes, unforwarded: bool) -> None:
    """Then no proxy has to be looked for in them."""
    block = b"GET / HTTP/1.1\r\nHost: example.org\r\n" + field + b"\r\n\r\n"
    latest = LatestFields()
    assert not parse_head(block, "http", latest).unforwarded, "nobody has looked yet"
    for _ in range(2):
        assert parse_head(block, "http", latest).unforwarded is unforwarded
    other = b"GET / HTTP/1.1\r\nHost: example.org\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"
    for _ in range(3):
        assert not parse_head(other, "http", latest).unforwarded


def test_a_thread_lets_no_connection_of_another_one_forget() -> None:
    latest = LatestFields()

    def serve() -> None:
        parse_head(b"GET / HTTP/1.1\r\n" + FIELDS, "http", latest)

    other = threading.Thread(target=serve)
    other.start()
    other.join()
    here = [latest_after(b"GET / HTTP/1.1\r\n" + FIELDS) for _ in range(300)]

    assert latest.block
    assert not here[0].block


# --- the first heads of connections ---


BROWSER = b"GET /page HTTP/1.1\r\nHost: example.org\r\nUser-Agent: a\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\r\n"


def parse_first_head(block: bytes) -> Http1Head:
    """As a protocol does it on a new connection."""
    known = parser.find_first_head(block, "http")
    if known is not None:
        return known
    head = parse_whole_head(block, "http")
    parser.remember_first_head(block, head)
    return head


def is_remembered(block: bytes) -> bool:
    parse_first_head(block)
    return parser.find_first_head(block, "http") is not None


def test_a_first_head_that_comes_again_says_the_same() -> None:
    first, second = parse_first_head(BROWSER), parse_first_head(BROWSER)

    assert said(second) == said(first) == said(parse_whole_head(BROWSER, "http"))
    assert second.framing is first.framing
    assert second.unforwarded
    assert second.kept is None, "what is kept with it is of one connection"


def test_what_an_application_does_to_the_headers_of_a_first_head_stays_with_it() -> None:
    for _ in range(3):
        head = parse_first_head(BROWSER)
        assert len(head.headers) == 4
        head.headers.clear()


@pytest.mark.parametrize(
    "block",
    [
        BROWSER.replace(b"Accept: */*", b"Cookie: a=b"),
        BROWSER.replace(b"Accept: */*", b"Authorization: Basic x"),
        BROWSER.replace(b"Accept: */*", b"X-Anything: x"),
        BROWSER.replace(b"/page", b"/page?token=1"),
        BROWSER.replace(b"/page", b"http://example.org/page"),
        BROWSER.replace(b"*/*", b"*/*," + b"x" * 1024),
    ],
)
def test_a_first_head_that_may_hold_a_secret_or_is_long_is_not_remembered(block: bytes) -> None:
    assert is_remembered(BROWSER)
    assert not is_remembered(block)


def test_a_first_head_that_may_tell_of_a_client_is_searched_each_time() -> None:
    block = BROWSER.replace(b"Accept:", b"X-Forwarded-Host:")
    for _ in range(3):
        assert not parse_first_head(block).unforwarded


def test_so_many_first_heads_are_remembered_and_no_more() -> None:
    blocks = [BROWSER.replace(b"/page", b"/%d" % number) for number in range(1000)]
    assert all(map(is_remembered, blocks))

    found = [block for block in blocks if parser.find_first_head(block, "http") is not None]

    assert 0 < len(found) <= 256
    assert found == blocks[-len(found) :]


def test_a_first_head_that_is_remembered_is_too_large_for_another_port() -> None:
    def answer(exchange: Exchange) -> None:
        exchange.start_response(200, [])
        exchange.write(b"", False)

    for _ in range(2):
        assert Wire(answer).send(BROWSER).statuses == [200]
    assert Wire(answer, max_header_size_bytes=len(BROWSER) - 1).send(BROWSER).statuses == [431]
