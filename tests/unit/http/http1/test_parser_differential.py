"""What two other parsers make of the same bytes: llhttp, which is Node.js's, and h11.

A request that we take must be the same one to them: method, target, fields, body, trailers, and the byte at which the
next one begins. Where they differ, a row of one of three tables says why, and which section decides. There is no row
for a request that we take and both refuse for no reason, nor for bytes that we wait behind and they don't.

`--soak` plays fifty times as many.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import Opinion, Partial, Refused, Understood, ask_h11, ask_llhttp
from request_reader import Request, in_single_bytes, read
from table_requests import TOPICS

from gracehttp.http.head import Header

ORACLES: dict[str, Callable[[bytes], Opinion]] = {"llhttp": ask_llhttp, "h11": ask_h11}


# --- where others are right in another way: fields that say the same in other words ---


def _value_without_white_space(fields: list[Header]) -> list[Header]:
    return [(name, value.strip(b" \t")) for name, value in fields]


def _coding_in_lower_case(fields: list[Header]) -> list[Header]:
    return [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in fields]


NOTATIONS: list[tuple[str, str, Callable[[list[Header]], list[Header]]]] = [
    ("llhttp leaves white space behind a value to its user", "RFC 9110 5.5", _value_without_white_space),
    ("h11 writes transfer codings in lower case", "RFC 9112 7", _coding_in_lower_case),
]


# --- what we take, and another one refuses or reads otherwise ---


class Difference(NamedTuple):
    oracle: str
    what: str
    section: str
    applies: Callable[[bytes, Opinion], bool]
    """Whether the request has it, and the oracle says what it says to such a request."""


def _refuses(reason: str, pattern: bytes) -> Callable[[bytes, Opinion], bool]:
    def applies(data: bytes, opinion: Opinion) -> bool:
        return (
            isinstance(opinion, Refused)
            and re.match(reason, opinion.why) is not None
            and re.search(pattern, data, re.IGNORECASE) is not None
        )

    return applies


def _stops_at_upgrade(data: bytes, opinion: Opinion) -> bool:
    head_end = data.index(b"\r\n\r\n") + 4 if not data.startswith(b"\r\n") else data.index(b"\r\n\r\n", 4) + 4
    return (
        not isinstance(opinion, Refused)
        and re.search(rb"(?i)\r\nUpgrade:", data) is not None
        and re.search(rb"(?i)\r\nConnection:[^\r\n]*upgrade", data) is not None
        and (isinstance(opinion, Partial) or opinion.end == head_end)
    )


# chunk-size, then extensions that have white space beside ";" or "="
_BAD_WHITE_SPACE = rb"\n[0-9A-F]+(?:[ \t]+;|[^\r\n]*(?:[;=][ \t]|[ \t][;=]))[^\r\n]*\r\n"
_BAD_WHITE_SPACE_FIRST = rb"\n[0-9A-F]+[ \t]+;[^\r\n]*\r\n"

_FRAMING_IN_TRAILER = rb"\n0+[^\r\n]*\r\n(?:[^\r\n]+\r\n)*(?:Content-Length|Transfer-Encoding):"

DIFFERENCES = [
    Difference(
        *("llhttp", "HTTP/1.2 and up are served as HTTP/1.1", "RFC 9110 2.5"),
        _refuses("Invalid HTTP version", rb"^(?:\r\n)*[^\r\n]* HTTP/1\.[2-9]\r\n"),
    ),
    Difference(
        *("llhttp", "white space is allowed around the delimiters of chunk extensions", "RFC 9112 7.1.1"),
        _refuses("Invalid character in chunk (size|extensions)", _BAD_WHITE_SPACE),
    ),
    Difference(
        *("llhttp", "a tab may stand behind a value, that of Transfer-Encoding too", "RFC 9110 5.5"),
        _refuses("Request has invalid `Transfer-Encoding`", rb"\nTransfer-Encoding:[ \t]*chunked[ \t]*\t[ \t]*\r\n"),
    ),
    Difference(
        *("llhttp", "trailer fields are kept apart, and frame nothing", "RFC 9110 6.5.1"),
        _refuses(
            "(Content-Length can't|Request has invalid|Transfer-Encoding can't|Invalid `Transfer-Encoding`)",
            _FRAMING_IN_TRAILER,
        ),
    ),
    Difference(
        *("llhttp", "an upgrade may be ignored; llhttp leaves the rest to the other protocol", "RFC 9110 7.8"),
        _stops_at_upgrade,
    ),
    Difference(
        *("h11", "trailer fields are kept apart, and frame nothing", "RFC 9110 6.5.1"),
        _refuses("(Only|multiple) Transfer-Encoding|(conflicting|bad) Content-Length", _FRAMING_IN_TRAILER),
    ),
    Difference(
        *("h11", "empty lines before a request are ignored", "RFC 9112 2.2"),
        _refuses("no request line received", rb"^\r\n"),
    ),
    Difference(
        *("h11", "a size may have leading zeros; h11 takes no more than 20 digits", "RFC 9112 7.1"),
        _refuses("illegal chunk header", rb"\n0{5,}[0-9A-F]{1,16}[^\r\n]*\r\n"),
    ),
    Difference(
        *("h11", "white space is allowed before a chunk extension", "RFC 9112 7.1.1"),
        _refuses("illegal chunk header", _BAD_WHITE_SPACE_FIRST),
    ),
]


# --- what we refuse, and another one takes ---

REFUSALS = {
    "this is not HTTP": "RFC 9112 3 and 2.2: no CR or LF alone, before the request line neither",
    "malformed request line": "RFC 9112 3 and 2.2: one space, CRLF, an HTTP-version",
    "malformed header field": "RFC 9112 5.1, 5.2, RFC 9110 5.5: no white space before the colon, no fold, no controls",
    "a line ends with CRLF": "RFC 9112 2.2",
    "no Host field": "RFC 9112 3.2",
    "more than one Host field": "RFC 9112 3.2",
    "Host names no valid host": "RFC 9112 3.2, RFC 9110 7.2, RFC 3986 3.2.2",
    "the target has a fragment": "RFC 9112 3.2, RFC 9110 4.1",
    "the target has user information": "RFC 9110 4.2.4",
    "the target has another scheme than http, which is spoken on this port": "RFC 9110 7.4",
    "the target names no valid host": "RFC 9110 4.2.1, RFC 3986 3.2.2",
    "the target is neither a path nor an http URI": "RFC 9112 3.2",
    "the target * stands alone, and is for OPTIONS": "RFC 9112 3.2.4",
    "Content-Length is no number": "RFC 9112 6.3: a list of equal numbers may be refused",
    "more than one Content-Length field": "RFC 9112 6.3: equal ones may be refused",
    "Content-Length has more digits than any length": "RFC 9110 8.6: large numbers are to be expected; 20 digits",
    "both Content-Length and Transfer-Encoding": "RFC 9112 6.3: ought to be handled as an error",
    "Transfer-Encoding in HTTP/1.0": "RFC 9112 6.1: must be treated as faulty",
    "chunked is not the last transfer coding": "RFC 9112 6.3: 400, a must",
    "an empty transfer coding": "RFC 9110 5.6.1.2 would ignore it; but recipients differ about the end of the body",
    "malformed size of a chunk": "RFC 9112 7.1: no white space at the end, no empty name or value",
    "malformed chunk": "RFC 9112 7.1, 2.2",
    "a chunk is longer than its size": "RFC 9112 7.1",
    "this server knows no expectation but 100-continue": "RFC 9110 10.1.1: 417 is allowed",
    "this server is no proxy": "RFC 9110 9.3.6: CONNECT is for proxies",
    "unknown method": "RFC 9110 9.1: 501",
    "this server knows no transfer coding but chunked": "RFC 9112 6.1: 501",
    "this server speaks HTTP/1.1 and HTTP/1.0": "RFC 9110 15.6.6",
    "HTTP/2 with prior knowledge is not spoken here; this is a connection for HTTP/1.1": "RFC 9113 3.4",
}


# --- the bytes ---


class Choices:
    """Draws the parts of a request. All but the places that were drawn first have the usual value, so that most
    requests have one fault or two, and what is behind a fault is seen as well."""

    PLACES = (
        *("before", "method", "space", "target", "version", "line end", "host", "hosts", "fields", "white space"),
        *("length", "lengths", "coding", "coding", "codings", "head end", "extensions", "extensions"),
        *("size", "size end", "data end", "last size", "trailers", "end"),
    )  # fmt: skip

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.places = draw(st.lists(st.sampled_from(self.PLACES), max_size=3))

    def __call__(self, place: str, usual: Any, *others: Any) -> Any:
        return self.draw(st.sampled_from(others)) if place in self.places else usual

    def count(self, place: str, most: int) -> int:
        return self.draw(st.integers(1, most)) if place in self.places else 0


LINE_ENDS = (b"\n", b"\r", b"\r\r\n", b"\r\n ", b"\r\n")
CONTENT = st.text(st.sampled_from("ab\r\n0;G "), min_size=1, max_size=20).map(str.encode)
TOKENS = (b"a", b"X-Y", b"A1~", b"!#$%&'*+-.^_`|~")
FIELDS = st.sampled_from([
    *((b"X", value) for value in (b"a", b"a b", b"a\tb", b"", b"\x80\xff", b'"x"', b"a,b", b"\x0b", b"a\x00", b"\x7f")),
    *((name, b"a") for name in (b"Cookie", b"x_y", b"A1~", b"!#$%&'*+-.^_`|~", b"X y", b"", b"\x80")),
    *((b"Connection", value) for value in (b"close", b"keep-alive", b"Upgrade", b"upgrade, close", b"x", b"")),
    *((b"Upgrade", b"h2c"), (b"Upgrade", b"websocket")),
    *((b"Expect", b"100-continue"), (b"Expect", b"100-Continue"), (b"Expect", b"x")),
])  # fmt: skip
TARGETS = [
    *(b"/a?b", b"/%41%zz", b"*", b"http://b", b"http://b:80/x?y", b"https://[::1]/", b"HTTP://b?q", b"//x", b"/a#b"),
    *(b'/a|b"<>{}\\^`', b"a:80", b"http://u@b/", b"ftp://a/", b"http:///x", b"/\x80", b"http://%zz/", b""),
]
HOSTS = [b"a:80", b"[::1]:8", b"", b"a b", b"%41", b"%zz", b"[::;1]", b"a:b", b"a@b", b"a,b"]
VERSIONS = [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/1.9", b"HTTP/2.0", b"http/1.1", b"HTTP/0.9", b"HTTP/1.10", b"FTP/1.1", b""]
METHODS = [
    *(b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"QUERY", b"PATCH", b"PROPFIND", b"M-SEARCH", b"CONNECT", b"FOO", b"get"),
    b"PRI",
]  # fmt: skip
CODINGS = [
    *(b"Chunked", b"chunked ", b"chunked\t", b"gzip, chunked", b"chunked, gzip", b"gzip", b"chunked,", b",chunked"),
    *(b"xchunked", b"chunked;q=1", b'"chunked"', b"identity", b"", b"chunked, chunked", b"\x0bchunked"),
]


def white_space(pick: Choices) -> bytes:
    return pick("white space", b" ", b"", b"\t", b"  ", b" \t ")


FIELD_FORMS = (
    *(b"%b: %b\r\n", b"%b:%b\r\n", b"%b:\t%b\t \r\n", b"%b:: %b\r\n", b"%b : %b\r\n", b"%b\t: %b\r\n", b"%b %b\r\n"),
    *(b"%b: %b\n", b"%b: %b\r", b"%b: %b\r\r\n", b"%b: %b\r\n \r\n", b" %b: %b\r\n", b"%b: \n%b\r\n"),
)


def field_lines(pick: Choices, place: str) -> list[bytes]:
    forms = [FIELD_FORMS[0]] * 6 + list(FIELD_FORMS)
    return [pick.draw(st.sampled_from(forms)) % pick.draw(FIELDS) for _ in range(pick.count(place, 3))]


def extensions(pick: Choices) -> bytes:
    text = b""
    for _ in range(pick.count("extensions", 2)):
        text += pick.draw(st.sampled_from([b";", b";", b" ;", b"; ", b"\t;", b"; \t"])) + pick.draw(
            st.sampled_from(TOKENS)
        )
        value = pick.draw(st.sampled_from([None, *TOKENS, b'"q;\\"r"', b'"\xff\t"', b'""', b'"a', b""]))
        if value is not None:
            text += pick.draw(st.sampled_from([b"=", b"=", b" =", b"= ", b" =\t"])) + value
    return text


def chunked_body(pick: Choices) -> bytes:
    text = b""
    for data in pick.draw(st.lists(CONTENT, max_size=2)):
        n = len(data)
        text += pick("size", b"%x" % n, b"%X" % n, b"00%x" % n, b"%x" % (n + 1), b"%x" % (n - 1), b"%x " % n, b"%x" % n)
        text += extensions(pick) + pick("size end", b"\r\n", *LINE_ENDS)
        text += data + pick("data end", b"\r\n", b"\n", b"\r", b"", b"x\r\n", b"\r\n")
    text += pick("last size", b"0", b"00", b"", b"0 ", b"0" * 17) + extensions(pick)
    text += pick("size end", b"\r\n", *LINE_ENDS) + b"".join(field_lines(pick, "trailers"))
    return text + pick("end", b"\r\n", b"\n", b"\r", b"")


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request that may have faults anywhere."""
    pick = Choices(draw)
    line = (
        pick("before", b"", b"\r\n", b"\r\n\r\n", b"\r\n", b"\r\n\r\n", b"\n", b"\r")
        + pick("method", b"POST", *METHODS)
        + pick("space", b" ", b"  ", b"\t", b"", b" ")
        + pick("target", b"/", *TARGETS)
        + pick("space", b" ", b"  ", b"\t", b" ")
        + pick("version", b"HTTP/1.1", *VERSIONS)
        + pick("line end", b"\r\n", *LINE_ENDS)
    )
    lines = [b"Host:" + white_space(pick) + pick("host", b"a", *HOSTS) + b"\r\n"] * pick("hosts", 1, 0, 2)
    lines += field_lines(pick, "fields")
    body = b""
    framing = draw(st.sampled_from(["none", "length", "length", "chunked", "chunked", "chunked", "both"]))
    if framing in ("length", "both"):
        body = draw(CONTENT)
        size = len(body)
        forms = (b"0%d", b"+%d", b"-%d", b"0x%x", b"%d ", b"%d,", b"1%d", b"0000000000000000000000000%d")
        length = pick("length", b"%d" % size, *[form % size for form in forms], b"%d, %d" % (size, size), b"")
        lines += [b"Content-Length: " + length + b"\r\n"] * pick("lengths", 1, 2)
    if framing in ("chunked", "both"):
        body = chunked_body(pick)
        coding = b"Transfer-Encoding:" + white_space(pick) + pick("coding", b"chunked", *CODINGS) + b"\r\n"
        lines += [coding] * pick("codings", 1, 2)
    lines = lines[(turn := draw(st.integers(0, len(lines)))) :] + lines[:turn]
    return line + b"".join(lines) + pick("head end", b"\r\n", b"\n", b"\r", b"") + body


ROWS = [row.data for rows in TOPICS.values() for row in rows if not row.limits]


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Requests, one behind the other; in some a byte has been changed, put in or dropped."""
    data = b"".join(draw(st.lists(requests() | st.sampled_from(ROWS), min_size=1, max_size=3)))
    for at in draw(st.lists(st.integers(0, 400), max_size=2)):
        if at < len(data):
            byte = bytes([draw(st.sampled_from(b'\r\n \t:;,="0a\x00/') | st.integers(0, 255))])
            data = data[:at] + draw(st.sampled_from([byte, b""])) + data[at + draw(st.integers(0, 1)) :]
    return data


# --- the comparison ---


def unexplained(name: str, data: bytes, ours: Request, size: int) -> str:
    """How `name` differs about the request at the beginning of `data`, which has `size` bytes to us; empty if not."""
    opinion = ORACLES[name](data)
    if isinstance(opinion, Understood):
        meant = (
            ours.method.encode(),
            ours.target,
            _noted(ours.fields, b""),
            ours.body,
            _noted(ours.trailers, b""),
            size,
        )
        theirs = opinion._replace(fields=_noted(opinion.fields, opinion.target), trailers=_noted(opinion.trailers, b""))
        if meant == tuple(theirs):
            return ""
    if any(known.oracle == name and known.applies(data[:size], opinion) for known in DIFFERENCES):
        return ""
    return f"{name}: {opinion}"


def _noted(fields: list[Header], target: bytes) -> list[Header]:
    """`fields` in one notation. The host of a `target` in absolute-form replaces Host (RFC 9112 section 3.2.2)."""
    for _, _, apply in NOTATIONS:
        fields = apply(fields)
    absolute = re.match(rb"(?i)https?://([^/?]*)", target)
    if absolute is None:
        return fields
    return [(b"host", absolute[1]), *(field for field in fields if field[0] != b"host")]


def compare(data: bytes) -> None:
    """Hold what we make of `data` against what the others do."""
    reading = read(in_single_bytes(data))
    begin = 0
    for request, end in zip(reading.requests, reading.ends, strict=True):
        for name in ORACLES:
            difference = unexplained(name, data[begin:], request, end - begin)
            assert not difference, (data[begin:end], request, difference)
        begin = end
    rest = data[begin:]
    if reading.refused:
        _check_refusal(rest)
    elif not reading.closed:
        for name, ask in ORACLES.items():
            assert not isinstance(ask(rest), Understood), (name, rest, "we wait for more of it")


def _check_refusal(data: bytes) -> None:
    if any(isinstance(ask(data), Understood) for ask in ORACLES.values()):
        # The response to HEAD has no room for a reason.
        reason = read([re.sub(rb"^((?:\r\n)*)HEAD ", rb"\1LINK ", data)]).reason
        assert reason.partition(": ")[2] in REFUSALS, (data, reason)


def test_what_we_take_is_the_same_to_others_and_what_we_refuse_has_a_section(soak):
    settings(max_examples=50_000 if soak else 1_000)(given(streams())(compare))()


def test_rows_of_the_table_are_the_same_to_others():
    for row in ROWS:
        compare(row + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")


@settings(max_examples=200)
@given(streams(), st.lists(st.integers(1, 40), max_size=30))
def test_stream_with_faults_is_the_same_however_it_is_cut(data, sizes):
    pieces = []
    rest = data
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    pieces = [piece for piece in [*pieces, rest] if piece]
    assert read(pieces).meaning == read([data]).meaning == read(in_single_bytes(data)).meaning


# --- what is right must be taken ---

NAMES = st.text(st.sampled_from("!#$%&'*+-.^_`|~09azAZ"), min_size=1, max_size=8).map(str.encode)
VALUES = st.lists(st.sampled_from([*range(0x21, 0x7F), 0x80, 0xFF, 0x20, 0x09]), max_size=12).map(
    lambda value: bytes(value).strip(b" \t")
)
OPTIONAL_SPACE = st.sampled_from([b"", b" ", b"\t", b" \t "])
PATH = st.text(st.sampled_from("/az09-._~!$&'()*+,;=:@"), max_size=12).map(lambda text: b"/" + text.encode())
OWN_MEANING = {b"host", b"connection", b"content-length", b"transfer-encoding", b"expect"}
RIGHT_EXTENSIONS = st.sampled_from([
    *(b"", b";a", b" ; a", b";a=b", b";a = b", b"\t;\ta\t=\tb ;c", b';a="b"', b'; a="\\"\t; \xff\\\\" ;b', b';a=""'),
])  # fmt: skip


def _lines(draw: st.DrawFn, meant: list[Header]) -> bytes:
    return b"".join(
        b"%b:%b%b%b\r\n" % (name, draw(OPTIONAL_SPACE), value, draw(OPTIONAL_SPACE)) for name, value in meant
    )


@st.composite
def right_requests(draw: st.DrawFn) -> tuple[bytes, Request]:
    """A request by the grammar, and what it says."""
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"PROPFIND"]))
    path, query = draw(PATH), draw(PATH)
    target = path + b"?" + query
    other = st.lists(st.tuples(NAMES.filter(lambda name: name.lower() not in OWN_MEANING), VALUES), max_size=4)
    said = [
        (b"Host", draw(st.sampled_from([b"a", b"a.b:1", b"[2001:db8::1]:80", b"%C3%A9", b"[v1.a]", b""]))),
        *draw(other),
    ]
    body, trailers, framed = b"", [], b""
    match draw(st.sampled_from(["none", "length", "chunked"])):
        case "length":
            body = framed = draw(st.binary(max_size=30))
            said.append((b"Content-Length", b"%d" % len(body)))
        case "chunked":
            said.append((b"Transfer-Encoding", b"chunked"))
            chunks = draw(st.lists(st.binary(min_size=1, max_size=20), max_size=3))
            trailers = draw(other)
            for chunk in chunks:
                framed += b"%x%b\r\n%b\r\n" % (len(chunk), draw(RIGHT_EXTENSIONS), chunk)
            framed += b"0%b\r\n%b\r\n" % (draw(RIGHT_EXTENSIONS), _lines(draw, trailers))
            body = b"".join(chunks)
    said = draw(st.permutations(said))
    data = b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method, target, _lines(draw, said), framed)
    return data, Request(
        *(method.decode(), target, path.decode(), query, "1.1"),
        *([(name.lower(), value) for name, value in said], body, [(name.lower(), value) for name, value in trailers]),
    )


def test_request_by_the_grammar_is_taken_as_it_was_meant(soak):
    @settings(max_examples=10_000 if soak else 200)
    @given(st.lists(right_requests(), min_size=1, max_size=3), st.integers(1, 100))
    def check(pairs, size):
        data = b"".join(one for one, _ in pairs)
        reading = read([data[at : at + size] for at in range(0, len(data), size)])
        assert reading.requests == [meant for _, meant in pairs]
        assert (reading.refused, reading.closed) == (0, False)

    check()


CHUNKED_HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("known", DIFFERENCES, ids=lambda known: f"{known.oracle}: {known.what}")
def test_each_difference_is_there(known):
    """A row that explains nothing any more would hide what it was not made for."""
    example = {
        "RFC 9110 2.5": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        "RFC 9112 7.1.1": CHUNKED_HEAD + b"1 ;a\r\nx\r\n0\r\n\r\n",
        "RFC 9112 7.1": CHUNKED_HEAD + b"0" * 30 + b"1\r\nx\r\n0\r\n\r\n",
        "RFC 9110 5.5": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n",
        "RFC 9110 7.8": b"PUT / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\nx",
        "RFC 9110 6.5.1": CHUNKED_HEAD + b"0\r\nTransfer-Encoding: x\r\n\r\n",
        "RFC 9112 2.2": b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    }[known.section]
    assert len(read([example]).requests) == 1
    assert known.applies(example, ORACLES[known.oracle](example))
