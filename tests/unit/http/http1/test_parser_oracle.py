"""The parser beside llhttp, the parser of Node.js: a head that both accept means the same to both, and what llhttp
refuses is refused here.

Not compared, because the RFC allows it and llhttp doesn't: HTTP/1.2 and above, which are served as 1.1 (RFC 9110
section 2.5), and a tab behind the value of Transfer-Encoding (OWS in RFC 9112 section 5).
"""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gracehttp.http.http1.checks import RequestError
from gracehttp.http.http1.parser import END_OF_HEAD, parse_head

# Pieces of a head: good ones, and bad ones.
METHODS = [b"GET", b"POST", b"HEAD", b"OPTIONS", b"M-SEARCH"], [b"get", b"BREW", b"", b"G\xc4T", b" GET"]
TARGETS = [b"/", b"/a?b=c", b"/%00", b"//", b"http://b/c"], [b"*", b"/\xc3\xa4", b"/a b", b"", b"/\x7f", b"a"]
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0"], [b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b"HTTP/11", b""]
HOSTS = [b"Host: a\r\n"], [b"", b"Host: a,b\r\n"]
NAMES = (
    [b"X", b"x-y", b"Via", b"A1", b"Connection", b"Upgrade", b"Content-Length", b"Transfer-Encoding"],
    [b"Host", b"X ", b"X\t", b" X", b"\tX", b"", b"X\x00", b"X\xe4", b"X\r\n Y"],
)
VALUES = (
    [b"a", b"", b"5", b"chunked", b"close", b"keep-alive, x", b"upgrade", b"100-continue", b"a\tb", b"\xe4"],
    [b"+5", b"0x5", b"5 5", b"18446744073709551616", b"gzip, chunked", b"chunked, gzip", b"a\x00b", b"a\rb", b"a\nb"],
)
SPACES = [b"", b" ", b"\t", b" \t "], [b"\n", b"\x0b"]
SPACES_BEHIND = [b"", b" ", b"  "], [b"\x00", b"\x0b"]
ENDS = [b"\r\n"], [b"\n", b"\r", b"\r\n ", b"\r\r\n"]


@st.composite
def heads(draw):
    """Heads with at most one bad piece."""
    pieces = [METHODS, b" ", TARGETS, b" ", VERSIONS, ENDS, HOSTS]
    for _ in range(draw(st.integers(0, 3))):
        pieces += [NAMES, b":", SPACES, VALUES, SPACES_BEHIND, ENDS]
    bad = draw(st.sampled_from([None, *(number for number, one in enumerate(pieces) if isinstance(one, tuple))]))
    drawn = [
        one if isinstance(one, bytes) else draw(st.sampled_from(one[number == bad]))
        for number, one in enumerate(pieces)
    ]
    block, end, _ = (b"".join(drawn) + b"\r\n").partition(END_OF_HEAD)
    return block + (end or END_OF_HEAD)


class Callbacks:
    def __init__(self):
        self.target, self.headers, self.whole = b"", [], False

    def on_url(self, url):
        self.target += url

    def on_header(self, name, value):
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self):
        self.whole = True


def by_llhttp(block):
    """Method, target, version and fields; None if it is refused or isn't a whole head."""
    callbacks = Callbacks()
    parser = httptools.HttpRequestParser(callbacks)
    try:
        parser.feed_data(block)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        return None
    if not callbacks.whole:
        return None
    return parser.get_method().decode(), callbacks.target, parser.get_http_version(), callbacks.headers


def by_us(block):
    try:
        head = parse_head(block)
    except RequestError:
        return None
    headers = head.headers
    if head.line.authority is not None:  # it stands in place of what Host said (RFC 9112 section 3.2.2)
        assert headers[0] == (b"host", head.line.authority)
        headers = headers[1:]
    return head.method, head.target, head.line.http_version, headers


@settings(max_examples=500)
@given(heads())
def test_a_head_means_the_same_as_to_llhttp_or_is_refused(block):
    ours, theirs = by_us(block), by_llhttp(block)
    if ours is None:
        return
    assert theirs is not None, "llhttp refuses it"
    if parse_head(block).line.authority is not None:
        theirs = *theirs[:3], [field for field in theirs[3] if field[0] != b"host"]
    assert ours == theirs


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_both_accept_an_ordinary_head(version):
    block = b"POST /a?b HTTP/" + version + b"\r\nHost: a\r\nContent-Length: 5\r\nX-Y:  z\t\r\n\r\n"
    assert by_us(block) is not None
    assert by_us(block) == by_llhttp(block)
