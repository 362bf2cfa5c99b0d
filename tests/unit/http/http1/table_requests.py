"""Raw requests, each with the section that decides about it and what must come of it: a status, or what it says.

Sections are of RFC 9112 where no other RFC is named. Where the RFC leaves the choice, the row says what was chosen.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Served(NamedTuple):
    """The requests that an application gets, each as those attributes of `request_reader.Request` that matter here.

    `closes`: no request is read behind the last of them. `refused`: the status of the one behind them.
    """

    requests: tuple[dict[str, Any], ...]
    closes: bool = False
    refused: int = 0


class Row(NamedTuple):
    section: str
    data: bytes
    expected: int | Served
    limits: dict[str, int] = {}  # noqa: RUF012  nothing changes it


def served(*, closes: bool = False, **attributes: Any) -> Served:
    """One request."""
    return Served((attributes,), closes)


def pipeline(*requests: dict[str, Any], refused: int = 0) -> Served:
    return Served(requests, closes=refused > 0, refused=refused)


NOTHING = Served(())
"""The rest of a request is awaited, or none has begun."""

HOST = b"Host: a"


def head(*lines: bytes) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n"


def line(request_line: bytes) -> bytes:
    """A request of that line."""
    return head(request_line, HOST)


def host(value: bytes) -> bytes:
    return head(b"GET / HTTP/1.1", b"Host: " + value)


def get(*fields: bytes) -> bytes:
    return head(b"GET / HTTP/1.1", HOST, *fields)


def post(*fields: bytes, body: bytes = b"") -> bytes:
    return head(b"POST / HTTP/1.1", HOST, *fields) + body


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


def size_line(text: bytes) -> bytes:
    """A body of one chunk of five bytes, whose size line is `text`."""
    return chunked(text + b"\r\nhello\r\n0\r\n\r\n")


def trailer(lines: bytes) -> bytes:
    return chunked(b"0\r\n" + lines + b"\r\n")


HELLO = served(body=b"hello", trailers=[])

REQUEST_LINE = [
    Row("3", line(b"GET / HTTP/1.1"), served(method="GET", target=b"/", path="/", query=b"", version="1.1")),
    Row("3", line(b"GET  / HTTP/1.1"), 400),
    Row("3", line(b"GET /  HTTP/1.1"), 400),
    Row("3", line(b"GET / HTTP/1.1 "), 400),
    Row("3", line(b" GET / HTTP/1.1"), 400),
    Row("3", line(b"GET\t/ HTTP/1.1"), 400),
    Row("3", line(b"GET /\tHTTP/1.1"), 400),
    Row("3", line(b"GET / HTTP/1.1\t"), 400),
    Row("3", line(b"GET / a HTTP/1.1"), 400),  # white space in the target: no guess where it ends
    Row("3", line(b"GET\x0b/ HTTP/1.1"), 400),
    Row("3", line(b"GET /\x0c HTTP/1.1"), 400),
    Row("3", line(b"GET\xa0/ HTTP/1.1"), 400),
    Row("3", line(b"GET / HTTP/1.1\x00"), 400),
    Row("3", line(b"/ HTTP/1.1"), 400),
    Row("3", line(b"GET HTTP/1.1"), 400),  # no target
    Row("3", line(b"GET  HTTP/1.1"), 400),
    Row("3", head(b"GET /"), 505),  # a target without a version: HTTP/0.9
    Row("3", head(b"POST /a?b"), 505),
    Row("3", head(b"GET http://b/"), 505),
    Row("3", head(b"GET a"), 400),
    Row("3", head(b"GET a:80"), 400),
    Row("3", head(b"GET / "), 400),
    Row("3", head(b"EHLO a"), 400),
    Row("3", head(b"HTTP/1.1 200 OK"), 400),  # a response
    Row("3", line(b"GET / HTTP/1.1 HTTP/1.1"), 400),
    Row("3", line(b"GET /HTTP/1.1"), 505),  # a target that looks so
    Row("3", line(b"GET/ HTTP/1.1"), 400),
    Row("3", line(b"GET\r / HTTP/1.1"), 400),
    Row("3", line(b"GET / HTTP/1.1\x0b"), 400),
    Row("3", line(b"GET / HTTP/1.1\xa0"), 400),
    Row("3", line(b"\xef\xbb\xbfGET / HTTP/1.1"), 400),  # a byte order mark
    Row("3", line(b"\x00GET / HTTP/1.1"), 400),
    Row("3", line(b"\tGET / HTTP/1.1"), 400),
    Row("3", head(b"GET"), 400),
    Row("3", line(b""), 400),  # that is, "Host: a" is the request line
    Row("3.1", line(b"get / HTTP/1.1"), 501),  # methods are case-sensitive (RFC 9110 section 9.1)
    Row("3.1", line(b"Get / HTTP/1.1"), 501),
    Row("3.1", line(b"BREW / HTTP/1.1"), 501),
    Row("3.1", line(b"GETX / HTTP/1.1"), 501),
    Row("3.1", line(b"!#$%&'*+-.^_`|~ / HTTP/1.1"), 501),
    Row("3.1", line(b"G@T / HTTP/1.1"), 400),
    Row("3.1", line(b"G(T / HTTP/1.1"), 400),
    Row("3.1", line(b'"GET" / HTTP/1.1'), 400),
    Row("3.1", line(b"G\x00T / HTTP/1.1"), 400),
    Row("3.1", line(b"G\xcbT / HTTP/1.1"), 400),
    Row("3.1", line(b"M-SEARCH / HTTP/1.1"), served(method="M-SEARCH")),
    Row("3.1", line(b"PATCH /a HTTP/1.1"), served(method="PATCH", path="/a")),
    Row("3.1", line(b"QUERY / HTTP/1.1"), served(method="QUERY")),
    Row("3.1", line(b"HEAD / HTTP/1.1"), served(method="HEAD")),
    *(
        Row("3.1", line(method + b" / HTTP/1.1"), served(method=method.decode()))
        for method in (b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PROPFIND", b"PURGE")
    ),
    *(Row("3.1", line(b"G%bT / HTTP/1.1" % bytes([byte])), 400) for byte in b'(),/:;<=>?@[\\]{}"\x01\x1f\x7f\x80\xff'),
    *(Row("3.1", line(b"G%bT / HTTP/1.1" % bytes([byte])), 501) for byte in b"!#$%&'*+-.^_`|~0x"),
    Row("3.1", line(b"A" * 256 + b" / HTTP/1.1"), 501),
    Row("3.1", line(b"A" * 257 + b" / HTTP/1.1"), 400),  # what goes on and on is no method
    Row("2.1", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # TLS
    Row("2.1", b"SSH-2.0-OpenSSH_9.6\r\n\r\n", 400),
    Row("2.1", b'{"jsonrpc": "2.0"}\r\n\r\n', 400),
    Row("2.1", b"\x00\r\n\r\n", 400),
    Row("2.1", b"G", NOTHING),
    Row("2.1", b"GET / HTTP/1.1\r\nHost: a\r\n", NOTHING),
]

VERSION = [
    Row("2.3", head(b"GET / HTTP/1.0"), served(version="1.0", closes=True)),
    Row("RFC 9110 2.5", line(b"GET / HTTP/1.2"), served(version="1.1")),
    Row("RFC 9110 2.5", line(b"GET / HTTP/1.9"), served(version="1.1")),
    Row("RFC 9110 2.5", head(b"GET / HTTP/1.2"), 400),  # it is 1.1: Host is due
    Row("2.3", line(b"GET / HTTP/1.10"), 400),
    Row("2.3", line(b"GET / HTTP/1.1.1"), 400),
    Row("2.3", line(b"GET / HTTP/11"), 400),
    Row("2.3", line(b"GET / HTTP/1."), 400),
    Row("2.3", line(b"GET / HTTP/.1"), 400),
    Row("2.3", line(b"GET / HTTP/1"), 400),
    Row("2.3", line(b"GET / HTTP/"), 400),
    Row("2.3", line(b"GET / HTTP/1,1"), 400),
    Row("2.3", line(b"GET / HTTP/+1.1"), 400),
    Row("2.3", line(b"GET / HTTP/1.\xb2"), 400),
    Row("2.3", line(b"GET / HTTP/0x1.1"), 400),
    Row("2.3", line(b"GET / HTTP /1.1"), 400),
    Row("2.3", line(b"GET / HTTP/ 1.1"), 400),
    Row("2.3", line(b"GET / http/1.1"), 400),  # the name is case-sensitive
    Row("2.3", line(b"GET / Http/1.1"), 400),
    Row("2.3", line(b"GET / FTP/1.1"), 400),
    Row("2.3", line(b"GET / ICY/1.1"), 400),
    Row("2.3", line(b"GET / XHTTP/1.1"), 400),
    Row("2.3", line(b"GET / HTTPS/1.1"), 400),
    Row("2.3", line(b"GET / RTSP/2.0"), 400),
    Row("2.3", line(b"GET / RTSP/1.0"), 400),
    Row("2.3", line(b"GET / ICE/1.0"), 400),
    # Another protocol's method is no unknown one of HTTP's.
    Row("2.3", line(b"SOURCE / ICE/1.0"), 400),
    Row("2.3", line(b"SETUP / RTSP/1.0"), 400),
    Row("2.3", line(b"DESCRIBE rtsp://a/b RTSP/1.0"), 400),
    Row("2.3", line(b"OPTIONS * RTSP/1.0"), 400),
    Row("2.3", line(b"INVITE sip:a@b SIP/2.0"), 400),
    Row("2.3", line(b"SETUP / http/1.1"), 400),
    Row("2.3", line(b"SETUP / HTTP/1.1"), 501),
    Row("2.3", line(b"SETUP / HTTP/2.0"), 501),
    Row("2.3", line(b"GET / HTP/1.1"), 400),
    Row("2.3", line(b"GET / HTTTP/1.1"), 400),
    Row("2.3", line(b"GET / HTTP/01.1"), 400),
    Row("2.3", line(b"GET / HTTP/1.01"), 400),
    Row("2.3", line(b"GET / HTTP/2"), 400),
    Row("2.3", line(b"GET / HTTP/1 .1"), 400),
    Row("2.3", line(b"GET / HTTP\\1.1"), 400),
    Row("2.3", line(b"GET / HTTP/1.1/"), 400),
    Row("2.3", line(b"GET / HTTP/1.1;"), 400),
    Row("2.3", line(b"GET / HTTP/a.b"), 400),
    Row("2.3", line(b"GET / 1.1"), 400),
    Row("2.3", head(b"GET / HTTP/1.0", b"Host: a"), served(version="1.0", host=b"a", closes=True)),
    Row("2.3", head(b"GET / HTTP/1.0", b"Host:"), served(version="1.0", host=b"", closes=True)),
    Row("RFC 9110 2.5", head(b"GET / HTTP/1.2", b"Host: a", b"Host: a"), 400),
    Row("RFC 9110 2.5", head(b"GET / HTTP/1.2", b"Host: a b"), 400),
    Row(
        "RFC 9110 2.5",
        head(b"POST / HTTP/1.2", HOST, b"Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n\r\n",
        served(version="1.1", body=b"x"),
    ),
    Row("RFC 9110 15.6.6", line(b"GET / HTTP/0.0"), 505),
    Row("RFC 9110 15.6.6", line(b"GET / HTTP/9.9"), 505),
    Row("RFC 9110 15.6.6", head(b"GET / HTTP/2.0"), 505),  # before Host is looked for
    Row("RFC 9110 15.6.6", line(b"GET / HTTP/2.0"), 505),
    Row("RFC 9110 15.6.6", line(b"GET / HTTP/3.0"), 505),
    Row("RFC 9110 15.6.6", line(b"GET / HTTP/0.9"), 505),
    Row("RFC 9110 15.6.6", b"GET /\r\n\r\n", 505),  # HTTP/0.9
    Row("RFC 9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
]

TARGET = [
    Row("3.2.1", line(b"GET /a/b?c=d HTTP/1.1"), served(target=b"/a/b?c=d", path="/a/b", query=b"c=d")),
    Row("3.2.1", line(b"GET /? HTTP/1.1"), served(path="/", query=b"")),
    Row("3.2.1", line(b"GET /a?b?c HTTP/1.1"), served(path="/a", query=b"b?c")),
    Row("3.2.1", line(b"GET //a HTTP/1.1"), served(path="//a")),
    Row("3.2.1", line(b"GET /.. HTTP/1.1"), served(path="/..")),  # the application's business
    Row("3.2.1", line(b"GET /a%20b%C3%A9 HTTP/1.1"), served(path="/a b\u00e9")),
    Row("3.2.1", line(b"GET /%2e%2F HTTP/1.1"), served(path="/./")),
    Row("3.2.1", line(b"GET /%zz%4 HTTP/1.1"), served(path="/%zz%4")),  # clients send such; decoded as far as it goes
    Row("3.2.1", line(b'GET /{a|b}\\^`<"> HTTP/1.1'), served(path='/{a|b}\\^`<">')),  # browsers send some of these
    Row("3.2.1", line(b"GET /http://b/ HTTP/1.1"), served(path="/http://b/")),
    Row("3.2.1", line(b"GET /a@b HTTP/1.1"), served(path="/a@b")),
    Row("3.2.1", line(b"GET /a\x7f HTTP/1.1"), 400),
    Row("3.2.1", line(b"GET /\xc3\xa9 HTTP/1.1"), 400),
    Row("3.2.1", line(b"GET /\x00 HTTP/1.1"), 400),
    Row("3.2.1", line(b"GET a HTTP/1.1"), 400),
    Row("3.2.1", line(b"GET ?a HTTP/1.1"), 400),
    Row("3.2.1", line(b"GET \\a HTTP/1.1"), 400),
    Row("3.2.1", line(b"GET ./a HTTP/1.1"), 400),
    Row("3.2.1", line(b"GET ? HTTP/1.1"), 400),
    Row("3.2.1", line(b"GET /?a=b&c=/?d HTTP/1.1"), served(path="/", query=b"a=b&c=/?d")),
    Row("3.2.1", line(b"GET /%00 HTTP/1.1"), served(path="/\0")),
    Row("3.2.1", line(b"GET /%0d%0a HTTP/1.1"), served(path="/\r\n", target=b"/%0d%0a")),
    Row("3.2.1", line(b"GET /a;b=c,d:e@f HTTP/1.1"), served(path="/a;b=c,d:e@f")),
    Row("3.2.1", line(b"GET /* HTTP/1.1"), served(path="/*")),
    Row("3.2.1", line(b"GET /a\\b HTTP/1.1"), served(path="/a\\b")),
    Row("3.2.1", line(b"POST /a?b HTTP/1.1"), served(method="POST", path="/a", query=b"b")),
    Row("3.2.1", line(b"OPTIONS /a HTTP/1.1"), served(method="OPTIONS", path="/a")),
    *(Row("3.2.1", line(b"GET /a%bb HTTP/1.1" % bytes([byte])), 400) for byte in b"\x01\x08\x0b\x1f\x80\xa0\xff"),
    *(Row("3.2.1", line(b"GET /?%b HTTP/1.1" % bytes([byte])), 400) for byte in b"\x00\x0b\x7f\x80\xff"),
    Row("3.2", line(b"GET /a#b HTTP/1.1"), 400),  # a fragment
    Row("3.2", line(b"GET /# HTTP/1.1"), 400),
    Row("3.2", line(b"GET /?a#b HTTP/1.1"), 400),
    Row("3.2", line(b"GET #a HTTP/1.1"), 400),
    Row("3.2", line(b"GET http://b/#a HTTP/1.1"), 400),
    Row("3.2", line(b"GET http://b#a HTTP/1.1"), 400),
    Row("3.2.2", line(b"GET http://b HTTP/1.1"), served(target=b"http://b", path="/", host=b"b")),
    Row("3.2.2", line(b"GET http://b/ HTTP/1.1"), served(path="/", host=b"b", fields=[(b"host", b"b")])),
    Row("3.2.2", line(b"GET http://b:80/c?d HTTP/1.1"), served(path="/c", query=b"d", host=b"b:80")),
    Row("3.2.2", line(b"GET http://b?d HTTP/1.1"), served(path="/", query=b"d", host=b"b")),
    Row("3.2.2", line(b"GET http://b?d@e HTTP/1.1"), served(path="/", query=b"d@e", host=b"b")),
    Row("3.2.2", line(b"GET http://b/http://c@d HTTP/1.1"), served(path="/http://c@d", host=b"b")),
    Row("3.2.2", line(b"GET HTTP://b/ HTTP/1.1"), served(path="/", host=b"b")),
    Row("RFC 9110 7.4", line(b"GET https://b/ HTTP/1.1"), 421),  # the port is one for http
    Row("RFC 9110 7.4", line(b"GET HTTPS://b/ HTTP/1.1"), 421),
    Row("3.2.2", line(b"GET http://[::1]:80/ HTTP/1.1"), served(host=b"[::1]:80")),
    Row("3.2.2", line(b"OPTIONS http://b HTTP/1.1"), served(method="OPTIONS", path="/", host=b"b")),
    Row("3.2.2", head(b"GET http://b/ HTTP/1.0"), served(host=b"b", closes=True)),
    Row("3.2.2", head(b"GET http://b/ HTTP/1.1"), 400),  # Host is due all the same (section 3.2)
    Row("3.2.2", head(b"GET http://b/ HTTP/1.1", b"Host: a b"), 400),
    Row(
        "3.2.2",
        head(b"GET http://b/ HTTP/1.1", b"X: 1", b"HOST: a", b"Y: 2"),
        served(fields=[(b"host", b"b"), (b"x", b"1"), (b"y", b"2")]),
    ),
    Row("RFC 9110 4.2.1", line(b"GET http:// HTTP/1.1"), 400),  # an empty host
    Row("RFC 9110 4.2.1", line(b"GET http:///a HTTP/1.1"), 400),
    Row("RFC 9110 4.2.1", line(b"GET http://:80/ HTTP/1.1"), 400),
    Row("RFC 9110 4.2.1", line(b"GET http:b HTTP/1.1"), 400),
    Row("RFC 9110 4.2.1", line(b"GET http:/b HTTP/1.1"), 400),
    Row("RFC 9110 4.2.1", line(b"GET http HTTP/1.1"), 400),
    Row("RFC 9110 4.2.1", line(b"GET //b:80@c HTTP/1.1"), served(path="//b:80@c")),
    Row("RFC 9110 4.2.4", line(b"GET http://u@b/ HTTP/1.1"), 400),  # user information
    Row("RFC 9110 4.2.4", line(b"GET http://u:p@b/ HTTP/1.1"), 400),
    Row("RFC 9110 4.2.4", line(b"GET http://@b/ HTTP/1.1"), 400),
    Row("RFC 9110 4.2.4", line(b"GET http://u@b HTTP/1.1"), 400),
    Row("RFC 9110 4.2.4", line(b"GET http://u@b@c/ HTTP/1.1"), 400),
    Row("RFC 9110 4.2.4", line(b"GET http://:@b/ HTTP/1.1"), 400),
    Row("RFC 9110 4.2.4", line(b"GET http://u%40@b/ HTTP/1.1"), 400),
    Row("RFC 9110 4.2.4", line(b"GET https://u@b/ HTTP/1.1"), 400),
    Row("RFC 9110 4.2.4", head(b"GET http://u@b/ HTTP/1.0"), 400),
    Row("RFC 9110 4.2.4", line(b"GET http://b/?u@c HTTP/1.1"), served(host=b"b", query=b"u@c")),
    Row("RFC 9110 4.2.4", line(b"GET http://u@b?c HTTP/1.1"), 400),
    Row("RFC 9110 4.2", line(b"GET ftp://b/ HTTP/1.1"), 400),  # foreign schemes
    Row("RFC 9110 4.2", line(b"GET ws://b/ HTTP/1.1"), 400),
    Row("RFC 9110 4.2", line(b"GET httpx://b/ HTTP/1.1"), 400),
    Row("RFC 9110 4.2", line(b"GET file:///etc/passwd HTTP/1.1"), 400),
    Row("RFC 9110 4.2", line(b"GET urn:a HTTP/1.1"), 400),
    Row("RFC 9110 4.2", line(b"GET wss://b/ HTTP/1.1"), 400),
    Row("RFC 9110 4.2", line(b"GET mailto:u@b HTTP/1.1"), 400),
    Row("RFC 9110 4.2", line(b"GET http+unix://b/ HTTP/1.1"), 400),
    Row("RFC 9110 4.2", line(b"GET 1http://b/ HTTP/1.1"), 400),
    Row("RFC 9110 4.2", line(b"GET xhttp://b/ HTTP/1.1"), 400),
    Row("RFC 9110 4.2", line(b"POST ftp://b/ HTTP/1.1"), 400),
    Row("RFC 9110 4.2", line(b"OPTIONS ftp://b HTTP/1.1"), 400),
    Row("RFC 9110 4.2", head(b"GET ftp://b/ HTTP/1.0"), 400),
    Row("RFC 9110 4.2", line(b"GET ://b/ HTTP/1.1"), 400),
    Row("RFC 9110 4.2", line(b"GET *://b/ HTTP/1.1"), 400),
    Row("RFC 3986 3.2.2", line(b"GET http://b%zz/ HTTP/1.1"), 400),
    Row("RFC 3986 3.2.2", line(b"GET http://[a.example]/ HTTP/1.1"), 400),
    Row("RFC 3986 3.2.2", line(b"GET http://[::1/ HTTP/1.1"), 400),
    Row("RFC 3986 3.2.2", line(b"GET http://b\\c/ HTTP/1.1"), 400),
    Row("RFC 3986 3.2.3", line(b"GET http://b:c/ HTTP/1.1"), 400),
    Row("RFC 3986 3.2.3", line(b"GET http://b:1:2/ HTTP/1.1"), 400),
    Row("RFC 3986 3.2.3", line(b"GET http://b:/ HTTP/1.1"), served(host=b"b:")),
    Row("RFC 3986 3.2.3", line(b"GET http://b:-1/ HTTP/1.1"), 400),
    Row("RFC 3986 3.2.2", line(b"GET http://[zz::1]/ HTTP/1.1"), 400),
    Row("RFC 3986 3.2.2", line(b"GET http://[]/ HTTP/1.1"), 400),
    Row("RFC 3986 3.2.2", line(b"GET http://::1/ HTTP/1.1"), 400),
    Row("RFC 3986 3.2.2", line(b"GET http://[::1]b/ HTTP/1.1"), 400),
    Row("RFC 3986 3.2.2", line(b"GET http://a%4/ HTTP/1.1"), 400),
    Row("RFC 3986 3.2.2", line(b"GET http://a%41/ HTTP/1.1"), served(host=b"a%41")),
    Row("RFC 3986 3.2.2", line(b"GET http://a<b/ HTTP/1.1"), 400),
    Row("RFC 3986 3.2.2", line(b"GET http://a|b/ HTTP/1.1"), 400),
    Row("3.2.3", line(b"CONNECT b:80 HTTP/1.1"), 501),
    Row("3.2.3", line(b"CONNECT / HTTP/1.1"), 501),
    Row("3.2.3", line(b"CONNECT [::1]:443 HTTP/1.1"), 501),
    Row("3.2.3", line(b"CONNECT b HTTP/1.1"), 501),
    Row("3.2.3", line(b"CONNECT http://b/ HTTP/1.1"), 501),
    Row("3.2.3", head(b"CONNECT b:80 HTTP/1.0"), 501),
    Row("3.2.3", line(b"POST b:80 HTTP/1.1"), 400),
    Row("3.2.3", line(b"OPTIONS b:80 HTTP/1.1"), 400),
    Row("3.2.3", line(b"GET [::1]:80 HTTP/1.1"), 400),
    Row("3.2.3", line(b"GET b.example HTTP/1.1"), 400),
    Row("3.2.3", line(b"GET b:80 HTTP/1.1"), 400),
    Row("3.2.4", line(b"OPTIONS * HTTP/1.1"), served(method="OPTIONS", target=b"*", path="*")),
    Row("3.2.4", line(b"GET * HTTP/1.1"), 400),
    Row("3.2.4", line(b"HEAD * HTTP/1.1"), 400),
    Row("3.2.4", line(b"POST * HTTP/1.1"), 400),
    Row("3.2.4", line(b"TRACE * HTTP/1.1"), 400),
    Row("3.2.4", head(b"OPTIONS * HTTP/1.1"), 400),  # no Host
    Row("3.2.4", head(b"OPTIONS * HTTP/1.0"), served(method="OPTIONS", path="*", closes=True)),
    Row("3.2.4", line(b"OPTIONS ** HTTP/1.1"), 400),
    Row("3.2.4", line(b"OPTIONS *?a HTTP/1.1"), 400),
    Row("3.2.4", line(b"OPTIONS */ HTTP/1.1"), 400),
]

HOST_FIELD = [
    Row("3.2", head(b"GET / HTTP/1.1"), 400),
    Row("3.2", head(b"GET / HTTP/1.1", b"Accept: */*"), 400),
    Row("3.2", head(b"GET / HTTP/1.1", b"Host: a", b"Host: a"), 400),
    Row("3.2", head(b"GET / HTTP/1.1", b"Host: a", b"X: y", b"hOST: b"), 400),
    Row("3.2", head(b"GET / HTTP/1.0", b"Host: a", b"Host: b"), 400),
    Row("3.2", head(b"GET / HTTP/1.0", b"Host: a b"), 400),
    Row("3.2", host(b""), served(host=b"")),
    Row("3.2", head(b"GET / HTTP/1.1", b"hOsT:A.Example:080"), served(host=b"A.Example:080")),
    Row("RFC 9110 7.2", host(b"a:"), served(host=b"a:")),
    Row("RFC 9110 7.2", host(b":80"), served(host=b":80")),  # the grammar has it
    Row("3.2", host(b" \t "), served(host=b"")),
    Row("3.2", host(b"a \t"), served(host=b"a")),
    Row("3.2", head(b"GET / HTTP/1.1", b"Host:", b"Host: a"), 400),
    Row("3.2", head(b"GET / HTTP/1.1", b"Host: a", b"Host:"), 400),
    Row("3.2", head(b"GET / HTTP/1.0", b"Host: a", b"Host: a"), 400),
    Row("3.2", head(b"GET / HTTP/1.0", b"Host: a%4"), 400),
    Row("3.2", head(b"GET / HTTP/1.1", b"X-Host: a"), 400),
    Row("3.2", head(b"GET / HTTP/1.1", b"Hosts: a"), 400),
    Row("3.2", head(b"GET http://b/ HTTP/1.1", b"Host: a", b"Host: a"), 400),
    Row("3.2", head(b"GET http://b/ HTTP/1.1", b"Host:"), served(host=b"b")),
    Row("3.2", head(b"OPTIONS * HTTP/1.1", b"Host: a b"), 400),
    *(Row("RFC 9110 7.2", host(b"a%bb" % bytes([byte])), 400) for byte in b'"/<>?@[\\]^`{|} #\x00\x01\x0b\x7f\x80\xff'),
    Row("RFC 9110 7.2", host(b"a,b"), served(host=b"a,b")),  # a reg-name
    Row("RFC 9110 7.2", host(b"a."), served(host=b"a.")),
    Row("RFC 9110 7.2", host(b"@a"), 400),
    Row("RFC 9110 7.2", host(b"u:p@a"), 400),
    Row("RFC 9110 7.2", host(b"/a"), 400),
    Row("RFC 9110 7.2", host(b"a :80"), 400),
    Row("RFC 9110 7.2", host(b"a: 80"), 400),
    Row("RFC 3986 3.2.3", host(b"a:80a"), 400),
    Row("RFC 3986 3.2.3", host(b"a:+80"), 400),
    Row("RFC 3986 3.2.3", host(b"a:0"), served(host=b"a:0")),
    Row("RFC 3986 3.2.2", host(b"a%"), 400),
    Row("RFC 3986 3.2.2", host(b"a%4g"), 400),
    Row("RFC 3986 3.2.2", host(b"%%41"), 400),
    Row("RFC 3986 3.2.2", host(b"[::]"), served(host=b"[::]")),
    Row("RFC 3986 3.2.2", host(b"[::1]:"), served(host=b"[::1]:")),
    Row("RFC 3986 3.2.2", host(b"[1:2:3:4:5:6:7:8]"), served(host=b"[1:2:3:4:5:6:7:8]")),
    Row("RFC 3986 3.2.2", host(b"[1:2:3:4:5:6:1.2.3.4]"), served(host=b"[1:2:3:4:5:6:1.2.3.4]")),
    Row("RFC 3986 3.2.2", host(b"[vF.a:b]:80"), served(host=b"[vF.a:b]:80")),
    *(
        Row("RFC 3986 3.2.2", host(b"[%b]" % inside), 400)
        for inside in (
            *(
                b":",
                b":1",
                b"1:",
                b":::",
                b"g::1",
                b"::1 ",
                b" ::1",
                b"::-1",
                b"::0x1",
                b"1::2::",
                b"::1.2.3",
                b"::1.2.3.4.5",
            ),
            *(
                b"1.2.3.4::",
                b"::01.2.3.4",
                b"1:2:3:4:5:6:7:1.2.3.4",
                b"::1%en1",
                b"::1%",
                b"v.a",
                b"vg.a",
                b"v1a",
                b"v1.a b",
            ),
            *(b"v1.a/", b"a", b"::1]:[::1"),
        )
    ),
    Row("RFC 3986 3.2.2", host(b"[::1]80"), 400),
    Row("RFC 3986 3.2.2", host(b"a[::1]"), 400),
    Row("RFC 3986 3.2.2", host(b"::1]"), 400),
    Row("RFC 3986 3.2.2", host(b"["), 400),
    Row("RFC 3986 3.2.2", host(b"]"), 400),
    Row("RFC 9110 7.2", host(b"a, b"), 400),
    Row("RFC 9110 7.2", host(b"a/b"), 400),
    Row("RFC 9110 7.2", host(b"a?b"), 400),
    Row("RFC 9110 7.2", host(b"a#b"), 400),
    Row("RFC 9110 7.2", host(b"u@a"), 400),
    Row("RFC 9110 7.2", host(b"a\\b"), 400),
    Row("RFC 9110 7.2", host(b"http://a"), 400),
    Row("RFC 9110 7.2", host(b"a\tb"), 400),
    Row("RFC 9110 7.2", host(b"\xc3\xa9"), 400),
    Row("RFC 9110 7.2", host(b"<script>"), 400),
    Row("RFC 3986 3.2.3", host(b"a:b"), 400),
    Row("RFC 3986 3.2.3", host(b"a:-1"), 400),
    Row("RFC 3986 3.2.3", host(b"a:80:80"), 400),
    Row("RFC 3986 3.2.3", host(b"a:8 0"), 400),
    Row("RFC 3986 3.2.2", host(b"a%41%C3%a9"), served(host=b"a%41%C3%a9")),
    Row("RFC 3986 3.2.2", host(b"a_b~!$&'()*+,;=-."), served(host=b"a_b~!$&'()*+,;=-.")),
    Row("RFC 3986 3.2.2", host(b"a%4"), 400),
    Row("RFC 3986 3.2.2", host(b"%"), 400),
    Row("RFC 3986 3.2.2", host(b"%zz"), 400),
    Row("RFC 3986 3.2.2", host(b"%4:80"), 400),
    Row("RFC 3986 3.2.2", host(b"192.0.2.1:80"), served(host=b"192.0.2.1:80")),
    Row("RFC 3986 3.2.2", host(b"999.1.1.1"), served(host=b"999.1.1.1")),  # a reg-name
    Row("RFC 3986 3.2.2", host(b"[::1]"), served(host=b"[::1]")),
    Row("RFC 3986 3.2.2", host(b"[2001:DB8::c:0]:8443"), served(host=b"[2001:DB8::c:0]:8443")),
    Row("RFC 3986 3.2.2", host(b"[::ffff:192.0.2.1]"), served(host=b"[::ffff:192.0.2.1]")),
    Row("RFC 3986 3.2.2", host(b"[v1.fe80::a+en1]"), served(host=b"[v1.fe80::a+en1]")),
    Row("RFC 3986 3.2.2", host(b"[]"), 400),
    Row("RFC 3986 3.2.2", host(b"[zz::1]"), 400),
    Row("RFC 3986 3.2.2", host(b"[::;1]"), 400),
    Row("RFC 3986 3.2.2", host(b"[a.example]"), 400),
    Row("RFC 3986 3.2.2", host(b"[192.0.2.1]"), 400),
    Row("RFC 3986 3.2.2", host(b"[1:2:3:4:5:6:7]"), 400),
    Row("RFC 3986 3.2.2", host(b"[1:2:3:4:5:6:7:8:9]"), 400),
    Row("RFC 3986 3.2.2", host(b"[1::2::3]"), 400),
    Row("RFC 3986 3.2.2", host(b"[::12345]"), 400),
    Row("RFC 3986 3.2.2", host(b"[::192.0.2.256]"), 400),
    Row("RFC 3986 3.2.2", host(b"[fe80::1%25en1]"), 400),  # zones don't leave the client (RFC 6874 section 4)
    Row("RFC 3986 3.2.2", host(b"[vx.a]"), 400),
    Row("RFC 3986 3.2.2", host(b"[v1.]"), 400),
    Row("RFC 3986 3.2.2", host(b"[::1"), 400),
    Row("RFC 3986 3.2.2", host(b"::1"), 400),
    Row("RFC 3986 3.2.2", host(b"[::1]a"), 400),
    Row("RFC 3986 3.2.2", host(b"[::1]:a"), 400),
    Row("RFC 3986 3.2.2", host(b"[[::1]]"), 400),
]

LINE_ENDS = [
    Row("2.2", b"\r\n" + get(), served()),  # empty lines before a request are ignored
    Row("2.2", b"\r\n\r\n\r\n" + get(), served()),
    Row("2.2", b"\r\n", NOTHING),
    Row("2.2", b"\r\n\r\n", NOTHING),
    Row("2.2", b"\n" + get(), 400),
    Row("2.2", b"\r" + get(), 400),
    Row("2.2", b"\r\r\n" + get(), 400),
    Row("2.2", b"\n\r\n" + get(), 400),
    Row("2.2", b"\r\n\n" + get(), 400),
    Row("2.2", b"\r\n\r" + get(), 400),
    Row("2.2", b"\r\n " + get(), 400),
    Row("2.2", b"\n\n" + get(), 400),
    Row("2.2", b"\r\r" + get(), 400),
    Row("2.2", b" \r\n" + get(), 400),
    Row("2.2", b"\0\r\n" + get(), 400),
    Row("2.2", b"\r\n\t" + get(), 400),
    Row("2.2", b"\r\n\r\n\n" + get(), 400),
    Row("2.2", b"\r\n\r\nG", NOTHING),
    Row("2.2", b"\r\nG\rE", 400),
    Row("2.2", b"\n", 400),
    Row("2.2", b"\r", NOTHING),
    Row("2.2", b"\r\r", 400),
    Row("2.2", b"GET /\n", 400),
    Row("2.2", b"GET / HTTP/1.1\n\n", 400),
    Row("2.2", b"GET / HTTP/1.0\n\n", 400),
    Row("2.2", b"GET / HTTP/1.1\r\r", 400),
    Row("2.2", b"GET / HTTP/1.1\rHost: a\r\r", 400),
    Row("2.2", b"GET / HTTP/1.1\n\rHost: a\r\n\r\n", 400),
    Row("2.2", b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", 400),
    Row("2.2", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\n\nhello", 400),
    Row("2.2", b"GET / HTTP/1.1\nHost: a\n\n", 400),
    Row("2.2", b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    Row("2.2", b"GET / HTTP/1.1\rHost: a\r\n\r\n", 400),
    Row("2.2", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400),
    Row("2.2", b"GET /\n HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    Row("2.2", b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    Row("2.2", b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
    Row("2.2", b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400),
    Row("2.2", b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
    Row("2.2", b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400),
    Row("2.2", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\n\n", 400),
    Row("2.2", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\n", 400),
    Row("2.2", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\n\r\n\r\n", 400),
    Row("2.2", b"GET / HTTP/1.1\r\nHost: a\r\nX\n: y\r\n\r\n", 400),
    Row("2.2", b"GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n", 400),
    Row("2.2", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),  # white space before the first field
    Row("2.2", b"GET / HTTP/1.1\r\n\tX: y\r\nHost: a\r\n\r\n", 400),
    Row("2.2", b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", 400),
]

FIELDS = [
    Row("5", get(b"X: y"), served(fields=[(b"host", b"a"), (b"x", b"y")])),
    Row("5", get(b"X:y"), served(fields=[(b"host", b"a"), (b"x", b"y")])),
    Row("5", get(b"X:\t y\t "), served(fields=[(b"host", b"a"), (b"x", b"y")])),
    Row("5", get(b"X:"), served(fields=[(b"host", b"a"), (b"x", b"")])),
    Row("5", get(b"X: \t "), served(fields=[(b"host", b"a"), (b"x", b"")])),
    Row("5", get(b"X: a \t b"), served(fields=[(b"host", b"a"), (b"x", b"a \t b")])),
    Row("5", get(b"X:: y"), served(fields=[(b"host", b"a"), (b"x", b": y")])),
    Row("5", get(b"X: y", b"x: Z"), served(fields=[(b"host", b"a"), (b"x", b"y"), (b"x", b"Z")])),
    Row("5", get(b"X: \x80\xff"), served(fields=[(b"host", b"a"), (b"x", b"\x80\xff")])),
    Row("5", get(b"!#$%&'*+-.^_`|~09aZ: y"), served(fields=[(b"host", b"a"), (b"!#$%&'*+-.^_`|~09az", b"y")])),
    Row("5.1", get(b"X : y"), 400),  # white space before the colon
    Row("5.1", get(b"X\t: y"), 400),
    Row("5.1", head(b"GET / HTTP/1.1", b"Host : a"), 400),
    Row("5.1", post(b"Content-Length : 5", body=b"hello"), 400),
    Row("5.1", post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"), 400),
    Row("5.1", get(b"X y: z"), 400),
    Row("5.1", get(b": y"), 400),
    Row("5.1", get(b"X"), 400),
    Row("5.1", get(b"X y"), 400),
    Row("5.1", get(b"X\xe9: y"), 400),
    Row("5.1", get(b"X\x00: y"), 400),
    Row("5.1", get(b"X\x7f: y"), 400),
    Row("5.1", get(b"X(y): z"), 400),
    Row("5.1", get(b"[X]: y"), 400),
    Row("5.1", get(b'"X": y'), 400),
    Row("5.1", get(b"X/y: z"), 400),
    Row("5.1", get(b"X,y: z"), 400),
    *(Row("5.1", get(b"X%by: z" % bytes([byte])), 400) for byte in b'()<>@\\"/[]?={} \t\x01\x0b\x0c\x1f\x7f\x80\xff'),
    *(Row("5.1", get(b"X%by: z" % bytes([byte])), served()) for byte in b"!#$%&'*+-.^_`|~09az"),
    Row("5.1", get(b" : y"), 400),
    Row("5.1", get(b":"), 400),
    Row("5.1", get(b"::"), 400),
    Row("5.1", get(b"X=y"), 400),
    Row("5.1", get(b"X\r: y"), 400),
    Row("5.1", get(b"\nX: y"), 400),
    Row("5.1", get(b"GET / HTTP/1.1"), 400),
    Row("5.1", get(b" X: y"), 400),
    Row("5.1", get(b"X: y") + get(b"X y: z"), pipeline({}, refused=400)),
    # Each line that is whole is judged, though the head isn't.
    Row("5.1", b"GET / HTTP/1.1\r\nX\r\n", 400),
    Row("5.1", b"GET / HTTP/1.1\r\nX : y\r\nHo", 400),
    Row("5.1", b"GET / HTTP/1.1\r\nX: \0\r\n\r", 400),
    Row("5.2", b"GET / HTTP/1.1\r\nX: y\r\n z\r\n", 400),
    Row("5.1", head(b"GET / HTTP/1.0", b"X y: z"), 400),
    Row("5.2", head(b"GET / HTTP/1.0", b"X: y", b" z"), 400),
    Row("5", get(b"X: y:z"), served(fields=[(b"host", b"a"), (b"x", b"y:z")])),
    Row("5", get(b'X: "a\\"'), served(fields=[(b"host", b"a"), (b"x", b'"a\\"')])),
    Row("5.1", get(b"X;y: z"), 400),
    Row("5.2", get(b"X: y", b" z"), 400),  # obs-fold
    Row("5.2", get(b"X: y", b"\tz"), 400),
    Row("5.2", get(b"X: y", b" "), 400),
    Row("5.2", get(b"X:", b" y"), 400),
    Row("5.2", head(b"GET / HTTP/1.1", b"Host:", b" a"), 400),
    Row("5.2", post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n"), 400),
    Row("RFC 9110 5.5", get(b"X: a\x00b"), 400),
    Row("RFC 9110 5.5", get(b"X: a\x01b"), 400),  # other controls may be refused, and are
    Row("RFC 9110 5.5", get(b"X: a\x08"), 400),
    Row("RFC 9110 5.5", get(b"X: a\x0bb"), 400),
    Row("RFC 9110 5.5", get(b"X: \x0c"), 400),
    Row("RFC 9110 5.5", get(b"X: a\x1bb"), 400),
    Row("RFC 9110 5.5", get(b"X: a\x7f"), 400),
    *(
        Row("RFC 9110 5.5", get(b"X: a%bb" % bytes([byte])), 400)
        for byte in (*range(0x01, 0x09), *range(0x0B, 0x20))
        if byte != 0x0D
    ),
    Row("RFC 9110 5.5", get(b"X:\x0by"), 400),
    Row("RFC 9110 5.5", get(b"X: y\x0c"), 400),
    Row(
        "RFC 9110 5.5", get(b"X:\xa0y"), served(fields=[(b"host", b"a"), (b"x", b"\xa0y")])
    ),  # obs-text, no white space
    Row("RFC 9110 10.1.1", get(b"Expect: 100-continue"), served()),
    Row("RFC 9110 10.1.1", post(b"Expect: 100-Continue", b"Content-Length: 5", body=b"hello"), HELLO),
    Row("RFC 9110 10.1.1", get(b"Expect: a miracle"), 417),
    Row("RFC 9110 10.1.1", get(b"Expect: 100"), 417),
    Row("RFC 9110 10.1.1", get(b"Expect: 100-continue;a=b"), 417),
    Row("RFC 9110 10.1.1", get(b'Expect: "100-continue"'), 417),
    Row("RFC 9110 10.1.1", get(b"Expect: 100-continue, a"), 417),
    Row("RFC 9110 10.1.1", get(b"Expect: 100-continue", b"Expect: a"), 417),
    Row("RFC 9110 10.1.1", get(b"Expect: 100-continue, 100-continue"), served()),  # a list
    Row("RFC 9110 10.1.1", get(b"Expect: 100-continue", b"Expect: 100-continue"), served()),
    Row("RFC 9110 5.6.1.2", get(b"Expect: , 100-continue ,"), served()),
    Row("RFC 9110 5.6.1.2", get(b"Expect:"), served()),
    Row("RFC 9110 10.1.1", post(b"Expect: a", b"Content-Length: x"), 400),  # what is malformed is told first
    Row("RFC 9110 10.1.1", head(b"GET / HTTP/1.1", b"Expect: a"), 400),
    Row("RFC 9110 10.1.1", post(b"Expect: 100-continue", b"Content-Length: 5"), NOTHING),
    Row("RFC 9110 10.1.1", post(b"Expect: 100-continue", b"Transfer-Encoding: chunked"), NOTHING),
    Row("RFC 9110 10.1.1", post(b"Expect: 100-continue", b"Content-Length: 0"), served(body=b"")),
    Row(
        "RFC 9110 10.1.1",
        head(b"POST / HTTP/1.0", b"Expect: 100-continue", b"Content-Length: 5") + b"hello",
        HELLO._replace(closes=True),
    ),
    Row("RFC 9110 7.8", head(b"GET / HTTP/1.0", b"Connection: upgrade", b"Upgrade: websocket"), served(closes=True)),
    Row("RFC 9110 7.8", get(b"Upgrade: h2c") + get(), pipeline({}, {})),  # Connection doesn't name it
    Row("RFC 9110 7.8", get(b"Connection: upgrade", b"Upgrade: foo/1, bar") + get(), pipeline({}, {})),
    Row("RFC 9110 10.1.1", head(b"GET / HTTP/1.0", b"Expect: a miracle"), served(closes=True)),
    Row("RFC 9110 7.8", get(b"Connection: upgrade", b"Upgrade: h2c"), served()),  # may be ignored, and is
    Row(
        "RFC 9110 7.8",
        post(b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 5", body=b"hello"),
        HELLO,
    ),
]

CONTENT_LENGTH = [
    Row("6.2", post(b"Content-Length: 5", body=b"hello"), HELLO),
    Row("6.2", post(b"Content-Length: 0"), served(body=b"")),
    Row("6.3", post(), served(body=b"")),
    Row("6.3", post() + get(), pipeline({"method": "POST", "body": b""}, {"method": "GET"})),
    Row("6.2", get(b"Content-Length: 5") + b"hello", HELLO),
    Row("6.2", head(b"HEAD / HTTP/1.1", HOST, b"Content-Length: 5") + b"hello", HELLO),
    Row("6.2", post(b"Content-Length: 5", body=b"hell"), NOTHING),
    Row("6.2", post(b"content-LENGTH:\t5 \t", body=b"hello"), HELLO),
    Row("RFC 9110 8.6", post(b"Content-Length: 005", body=b"hello"), HELLO),
    Row("RFC 9110 8.6", post(b"Content-Length: " + b"5".zfill(20), body=b"hello"), HELLO),
    Row("RFC 9110 8.6", post(b"Content-Length: " + b"5".zfill(21), body=b"hello"), 400),  # a limit of ours
    Row("RFC 9110 8.6", post(b"Content-Length: 18446744073709551615"), NOTHING),
    Row("RFC 9110 8.6", post(b"Content-Length: 18446744073709551616"), 400),
    Row("RFC 9110 8.6", post(b"Content-Length: 99999999999999999999"), 400),
    Row("6.3", post(b"Content-Length: +5", body=b"hello"), 400),
    Row("6.3", post(b"Content-Length: -5", body=b"hello"), 400),
    Row("6.3", post(b"Content-Length: -0"), 400),
    Row("6.3", post(b"Content-Length:", body=b"hello"), 400),
    Row("6.3", post(b"Content-Length: 5 5", body=b"hello"), 400),
    Row("6.3", post(b"Content-Length: 5;", body=b"hello"), 400),
    Row("6.3", post(b"Content-Length: 5.0", body=b"hello"), 400),
    Row("6.3", post(b"Content-Length: 5e0", body=b"hello"), 400),
    Row("6.3", post(b"Content-Length: 0x5", body=b"hello"), 400),
    Row("6.3", post(b"Content-Length: 0_5", body=b"hello"), 400),
    Row("6.3", post(b'Content-Length: "5"', body=b"hello"), 400),
    Row("6.3", post(b"Content-Length: \xb5", body=b"hello"), 400),
    Row("6.3", post(b"Content-Length: five", body=b"hello"), 400),
    *(
        Row("6.3", post(b"Content-Length: " + value, body=b"hello"), 400)
        for value in (
            *(
                b"5\t5",
                b"5,5",
                b"5 , 5",
                b"5,5,5",
                b"5,,5",
                b",",
                b"5;5",
                b"5.",
                b".5",
                b"5x",
                b"x5",
                b"5-",
                b"'5'",
                b"(5)",
                b"5 (a)",
            ),
            *(
                b"+0",
                b"0o5",
                b"0X5",
                b"5_",
                b"\x0b5",
                b"5\x0c",
                b"5\x00",
                b"\xa05",
                b"\xb2",
                b"\xd9\xa5",
                b"NaN",
                b"9" * 100,
                b"+",
                b"-",
            ),
        )
    ),
    Row("6.3", post(b"Content-Length: 5", b"content-length: 05", body=b"hello"), 400),
    Row("6.3", post(b"Content-Length: x", b"Content-Length: 5", body=b"hello"), 400),
    Row("6.3", post(b"Content-Length:", b" 5", body=b"hello"), 400),
    Row("6.3", head(b"POST / HTTP/1.0", b"Content-Length: 5", b"Content-Length: 6") + b"hello", 400),
    Row("6.3", head(b"POST / HTTP/1.0", b"Content-Length: +5") + b"hello", 400),
    Row("6.3", get(b"Content-Length: -1"), 400),
    Row("6.2", post(b"Content-Length: 00") + get(), pipeline({"body": b""}, {})),
    Row("6.3", head(b"DELETE / HTTP/1.1", HOST, b"Content-Length: 5") + b"hello", HELLO),
    Row("6.3", head(b"TRACE / HTTP/1.1", HOST, b"Content-Length: 5") + b"hello", HELLO),
    Row("6.3", head(b"OPTIONS * HTTP/1.1", HOST, b"Content-Length: 5") + b"hello", HELLO),
    Row("6.3", head(b"POST / HTTP/1.0") + b"hello", served(body=b"", closes=True)),  # no length: no body
    Row("6.3", head(b"PUT / HTTP/1.1", HOST) + get(), pipeline({"method": "PUT", "body": b""}, {})),
    Row("6.3", post(b"Content-Length: 5, 5", body=b"hello"), 400),  # may be taken as one, and is not
    Row("6.3", post(b"Content-Length: 5, 6", body=b"hello"), 400),
    Row("6.3", post(b"Content-Length: 5,", body=b"hello"), 400),
    Row("6.3", post(b"Content-Length: ,5", body=b"hello"), 400),
    Row("6.3", post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"), 400),
    Row("6.3", post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello"), 400),
    Row("6.3", post(b"Content-Length: 0", b"Content-Length: 5", body=b"hello"), 400),
    Row("6.3", post(b"Content-Length: 5", b"X: y", b"CONTENT-LENGTH:", body=b"hello"), 400),
    Row("6.2", head(b"POST / HTTP/1.0", b"Content-Length: 5") + b"hello", served(body=b"hello", closes=True)),
]


def coded(*values: bytes) -> bytes:
    """A body of "hello" in a chunk, with these Transfer-Encoding fields."""
    return post(*(b"Transfer-Encoding:" + value for value in values), body=b"5\r\nhello\r\n0\r\n\r\n")


TRANSFER_ENCODING = [
    Row("6.1", coded(b" chunked"), HELLO),
    Row("6.1", coded(b"chunked"), HELLO),
    Row("6.1", coded(b"\tchunked"), HELLO),
    Row("6.1", coded(b" chunked "), HELLO),
    Row("6.1", coded(b" chunked\t"), HELLO),
    Row("6.1", coded(b" \t chunked \t "), HELLO),
    Row("7", coded(b" Chunked"), HELLO),
    Row("7", coded(b" CHUNKED"), HELLO),
    Row("6.1", coded(b" \x0bchunked"), 400),
    Row("6.1", coded(b" \x0cchunked"), 400),
    Row("6.1", coded(b" \xa0chunked"), 400),
    Row("6.1", coded(b" chunked\x00"), 400),
    Row("6.1", coded(b" chun\x18ked"), 400),
    Row("6.1", coded(b" gzip, chunked"), 501),
    Row("6.1", coded(b" gzip,chunked"), 501),
    Row("6.1", coded(b" gzip", b" chunked"), 501),
    Row("6.1", coded(b" gzip;q=1, chunked"), 501),
    Row("6.1", coded(b" identity, chunked"), 501),
    Row("6.3", coded(b" gzip"), 400),  # the end of the body can't be told
    Row("6.3", coded(b" identity"), 400),
    Row("6.3", coded(b" xchunked"), 400),
    *(
        Row("6.3", coded(value), 400)
        for value in (
            *(
                b" deflate",
                b" foo",
                b" x-chunked",
                b" chunke",
                b" chunked q=1",
                b" (chunked)",
                b" chunked (x)",
                b" foo chunked",
            ),
            *(
                b" foo\tchunked",
                b" chunked, trailers",
                b' gzip;a=", chunked"',
                b" chunked\x0b",
                b" \x00chunked",
                b" chunke\xe4",
            ),
            *(
                b" chunked,chunked",
                b" gzip, chunked, chunked",
                b",chunked",
                b",,",
                b" gzip,,chunked",
                b" gzip,",
                b" chunked, ,",
            ),
        )
    ),
    Row("6.1", coded(b" GZIP, Chunked"), 501),
    Row("6.1", coded(b" gzip\t,\tchunked"), 501),
    Row("6.1", coded(b" gzip", b" deflate", b" chunked"), 501),
    Row("6.1", coded(b" foo;a=b;c, chunked"), 501),
    Row("6.1", head(b"POST / HTTP/1.2", HOST, b"Transfer-Encoding: gzip, chunked"), 501),
    Row("6.1", head(b"GET / HTTP/1.1", HOST, b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n", HELLO),
    Row("6.1", head(b"HEAD / HTTP/1.1", HOST, b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n", HELLO),
    Row("6.1", head(b"POST / HTTP/1.0", b"Connection: keep-alive", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    Row("6.1", head(b"POST / HTTP/1.0", b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"hello", 400),
    Row("6.1", head(b"POST / HTTP/1.0", b"Transfer-Encoding: identity") + b"0\r\n\r\n", 400),
    Row("6.3", post(b"Content-Length: 5", b"Transfer-Encoding: gzip, chunked", body=b"hello"), 400),  # no 501
    Row("6.3", post(b"Transfer-Encoding: gzip", b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
    Row("6.3", post(b"Content-Length: 5", b"Transfer-Encoding:", body=b"hello"), 400),
    Row("3.2", head(b"POST / HTTP/1.1", b"Transfer-Encoding: gzip, chunked"), 400),  # no Host comes first
    Row("6.3", coded(b" chunkedx"), 400),
    Row("6.3", coded(b" chunked chunked"), 400),
    Row("6.3", coded(b" x chunked"), 400),
    Row("6.3", coded(b' "chunked"'), 400),
    Row("6.3", coded(b" 'chunked'"), 400),
    Row("6.3", coded(b" \xe1hunked"), 400),
    Row("6.3", coded(b""), 400),
    Row("6.3", coded(b" ,"), 400),
    Row("6.3", coded(b" chunked, gzip"), 400),
    Row("6.3", coded(b" chunked,gzip"), 400),
    Row("6.3", coded(b" chunked", b" gzip"), 400),
    Row("6.3", coded(b" chunked", b" identity"), 400),
    Row("6.3", coded(b" chunked", b""), 400),
    Row("6.3", coded(b" chunked, identity"), 400),
    Row("6.1", coded(b" chunked, chunked"), 400),  # chunked may be applied once only
    Row("6.1", coded(b" chunked", b" chunked"), 400),
    Row("6.1", coded(b" chunked, gzip, chunked"), 400),
    Row("7.1", coded(b" chunked;q=1"), 400),  # parameters of chunked are an error
    Row("7.1", coded(b" chunked;"), 400),
    Row(
        "RFC 9110 5.6.1.2", coded(b" , chunked"), 400
    ),  # empty elements could be ignored; proxies differ, so they aren't
    Row("RFC 9110 5.6.1.2", coded(b" chunked,"), 400),
    Row("RFC 9110 5.6.1.2", coded(b"", b" chunked"), 400),
    Row("6.1", head(b"POST / HTTP/1.0", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    Row("6.1", head(b"POST / HTTP/1.0", b"Transfer-Encoding: gzip") + b"0\r\n\r\n", 400),
    Row("6.3", post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),  # both lengths
    Row("6.3", post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"), 400),
    Row("6.3", post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    Row("6.3", post(b"Content-Length: x", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    Row("6.3", post(b"Content-Length: 5", b"Transfer-Encoding: identity", body=b"hello"), 400),
    Row("6.1", post(b"Transfer_Encoding: chunked"), served(body=b"")),  # other fields
    Row("6.1", post(b"X-Transfer-Encoding: chunked"), served(body=b"")),
    Row("6.1", post(b"Transfer-Encodin: chunked"), served(body=b"")),
    Row("RFC 9110 10.1.4", post(b"TE: chunked"), served(body=b"")),
]

CHUNKS = [
    Row("7.1", chunked(b"0\r\n\r\n"), served(body=b"", trailers=[])),
    Row("7.1", chunked(b"000\r\n\r\n"), served(body=b"")),
    Row("7.1", chunked(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), HELLO),
    Row("7.1", chunked(b"a\r\n0\r\n\r\n23456\r\n0\r\n\r\n"), served(body=b"0\r\n\r\n23456")),
    Row("7.1", chunked(b"A\r\n0123456789\r\n0\r\n\r\n"), served(body=b"0123456789")),
    Row("7.1", size_line(b"05"), HELLO),
    Row("7.1", size_line(b"0000000000000005"), HELLO),
    Row("7.1", chunked(b"010\r\n0123456789abcdef\r\n0\r\n\r\n"), served(body=b"0123456789abcdef")),  # no octal number
    Row("7.1", size_line(b"00000000000000005"), HELLO),  # leading zeros make no number larger
    Row("7.1", size_line(b"0" * 200 + b"5"), HELLO),
    Row("7.1", size_line(b"0" * 200 + b"5 ; a"), HELLO),
    Row("7.1", size_line(b"0" * 200 + b"g"), 400),
    Row("7.1", size_line(b"0" * 200 + b"5g"), 400),
    Row("7.1", chunked(b"5\r\nhello\r\n" + b"0" * 40 + b"\r\n\r\n"), HELLO),
    Row("7.1", chunked(b"0" * 20 + b"ffffffffffffffff\r\nx"), NOTHING),
    Row("7.1", chunked(b"0" * 20 + b"10000000000000000\r\nx"), 400),
    Row("7.1", chunked(b"f" * 17 + b"\r\nx"), 400),
    Row("7.1", chunked(b"100000005\r\nhello\r\n0\r\n\r\n"), NOTHING),  # no number of 32 bits
    Row("7.1", chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n"), 400),  # nor of 64
    *(
        Row("7.1", size_line(text), 400)
        for text in (
            *(
                b" ",
                b"\t5",
                b"5  ",
                b"5 5",
                b"5x",
                b"x",
                b"0X5",
                b"0x",
                b"5.",
                b"5,",
                b"5-",
                b"-0",
                b"+0",
                b"5\x0b",
                b"5\x0c",
                b"5\xa0",
            ),
            *(b"\x005", b"\xef\xbc\x95", b"5\r", b'"5"', b"5:", b"5;a\r", b"five", b"5\x7f"),
        )
    ),
    Row("7.1", chunked(b"5\r\nhello\r\n-0\r\n\r\n"), 400),
    Row("7.1", chunked(b"5\r\nhello\r\n0x\r\n\r\n"), 400),
    Row("7.1", chunked(b"5\r\nhello\r\n0 \r\n\r\n"), 400),
    Row("7.1", chunked(b"\r\n5\r\nhello\r\n0\r\n\r\n"), 400),
    Row("7.1", chunked(b"\n5\r\nhello\r\n0\r\n\r\n"), 400),
    Row("7.1", chunked(b"5\n\rhello\r\n0\r\n\r\n"), 400),
    Row("7.1", chunked(b"5\r\nhello\n\r0\r\n\r\n"), 400),
    Row("7.1", chunked(b"5\r\nhello\r\r\n0\r\n\r\n"), 400),
    Row("7.1", chunked(b"4\r\nhello\r\n0\r\n\r\n"), 400),
    Row("7.1", chunked(b"6\r\nhello\r\n0\r\n\r\n"), 400),
    Row("7.1", chunked(b"7\r\nhello\r\n0\r\n\r\n"), 400),
    Row("7.1", chunked(b"hello"), 400),
    Row("7.1", chunked(b"5\r\nhello\r\n0\n\n"), 400),
    Row("7.1", chunked(b"0\n\n"), 400),
    Row("7.1", chunked(b"0\r\r"), 400),
    Row("7.1", chunked(b"5"), NOTHING),
    Row("7.1", chunked(b"5\r"), NOTHING),
    Row("7.1", chunked(b"5\r\nhel"), NOTHING),
    Row("7.1", chunked(b"5\r\nhello\r"), NOTHING),
    Row("7.1", chunked(b"0"), NOTHING),
    Row("7.1", chunked(b"1\r\n\n\r\n1\r\n\r\r\n0\r\n\r\n"), served(body=b"\n\r")),  # data, not lines
    Row("7.1", chunked(b"5\r\nhello\r\n0\r\n\r\n") + b"0\r\n\r\n", Served(HELLO.requests, True, 400)),
    Row("7.1", chunked(b"ffffffffffffffff\r\nx"), NOTHING),
    Row("7.1", chunked(b"10000000000000000\r\nx"), 400),
    Row("7.1", size_line(b""), 400),
    Row("7.1", size_line(b" 5"), 400),
    Row("7.1", size_line(b"5 "), 400),  # no white space without an extension
    Row("7.1", size_line(b"5\t"), 400),
    Row("7.1", size_line(b"+5"), 400),
    Row("7.1", size_line(b"-5"), 400),
    Row("7.1", size_line(b"0x5"), 400),
    Row("7.1", size_line(b"5h"), 400),
    Row("7.1", size_line(b"5_0"), 400),
    Row("7.1", size_line(b"5,5"), 400),
    Row("7.1", size_line(b"5.0"), 400),
    Row("7.1", size_line(b"\xb5"), 400),
    Row("7.1", size_line(b"5\x00"), 400),
    Row("7.1", size_line(b"g"), 400),
    Row("7.1", chunked(b"5\nhello\r\n0\r\n\r\n"), 400),
    Row("7.1", chunked(b"5\rhello\r\n0\r\n\r\n"), 400),
    Row("7.1", chunked(b"5\r\r\nhello\r\n0\r\n\r\n"), 400),
    Row("7.1", chunked(b"5\r\nhello\n0\r\n\r\n"), 400),
    Row("7.1", chunked(b"5\r\nhello\r0\r\n\r\n"), 400),
    Row("7.1", chunked(b"5\r\nhello0\r\n\r\n"), 400),
    Row("7.1", chunked(b"5\r\nhello!\r\n0\r\n\r\n"), 400),
    Row("7.1", chunked(b"5\r\nhell\r\n0\r\n\r\n"), 400),
    Row("7.1", chunked(b"5\r\nhello \r\n0\r\n\r\n"), 400),
    Row("7.1", chunked(b"5\r\nhello\r\n\r\n0\r\n\r\n"), 400),
    Row("7.1", chunked(b"5\r\nhello\r\n0\n\r\n"), 400),
    Row("7.1", chunked(b"5\r\nhello\r\n0\r\n\n"), 400),
    Row("7.1", chunked(b"5\r\nhello\r\n0\r\n\rG"), 400),
    Row("7.1", chunked(b"5\r\nhello\r\n0\r\n"), NOTHING),
    Row("7.1", chunked(b"5\r\nhello\r\n0\r\n\r"), NOTHING),
    Row("7.1", chunked(b"5\r\nhello\r\n"), NOTHING),
]

CHUNK_EXTENSIONS = [
    Row("7.1.1", size_line(b"5;a"), HELLO),
    Row("7.1.1", size_line(b"5;a=b"), HELLO),
    Row("7.1.1", size_line(b'5;a="b"'), HELLO),
    Row("7.1.1", size_line(b'5;a=""'), HELLO),
    Row("7.1.1", size_line(b'5;a="\\"\\\\ ;=\t\xff"'), HELLO),
    Row("7.1.1", size_line(b"5;a;b;a=c"), HELLO),
    Row("7.1.1", size_line(b'5 ;a = "b" ; c'), HELLO),  # bad white space, which must be parsed
    Row("7.1.1", size_line(b"5 \t; \ta\t=\tb\t;\tc"), HELLO),
    Row("7.1.1", size_line(b"5; a"), HELLO),
    Row("7.1.1", chunked(b'5\r\nhello\r\n0;a="b"\r\n\r\n'), HELLO),
    Row("7.1.1", size_line(b"5;!#$%&'*+-.^_`|~=!#$%&'*+-.^_`|~"), HELLO),
    Row("7.1.1", size_line(b"5;a='b'"), HELLO),  # a token
    Row("7.1.1", size_line(b'5;a="b;c=d, e"'), HELLO),
    Row("7.1.1", size_line(b'5;a="b";c="d" ; e'), HELLO),
    Row("7.1.1", size_line(b'5;a = "b"'), HELLO),
    Row("7.1.1", size_line(b"5" + b";a" * 50), HELLO),
    Row("7.1.1", chunked(b"5\r\nhello\r\n0 ; a = b\r\n\r\n"), HELLO),
    Row("7.1.1", chunked(b"5\r\nhello\r\n0;\r\n\r\n"), 400),
    *(
        Row("7.1.1", size_line(b"5" + text), 400)
        for text in (
            *(
                b" ;",
                b";a\t",
                b";a=b ",
                b";a=b;",
                b";a=b; ",
                b";a;;b",
                b";=",
                b"; =b",
                b";a= ;b",
                b';a="',
                b';a="\\"',
                b";a=b=c",
            ),
            *(
                b';a=b"c"',
                b';a="b" ;',
                b';a="b" c',
                b";(a)",
                b";a@b",
                b";a,b",
                b";a/b",
                b";a=b,c",
                b";a=\xe9",
                b";a=\x7f",
                b";\x00",
            ),
            *(b';a="\x7f"', b';a="\x08"', b";\n", b';a="b\nc"', b";a=\nb", b'"a"', b",a", b":a"),
        )
    ),
    Row("7.1.1", size_line(b"5;"), 400),
    Row("7.1.1", size_line(b"5; "), 400),
    Row("7.1.1", size_line(b"5;;"), 400),
    Row("7.1.1", size_line(b"5;;a"), 400),
    Row("7.1.1", size_line(b"5;a;"), 400),
    Row("7.1.1", size_line(b"5;a "), 400),
    Row("7.1.1", size_line(b"5;a="), 400),
    Row("7.1.1", size_line(b"5;a= "), 400),
    Row("7.1.1", size_line(b"5;=b"), 400),
    Row("7.1.1", size_line(b"5;a=;b"), 400),
    Row("7.1.1", size_line(b"5;a b"), 400),
    Row("7.1.1", size_line(b"5;a=b c"), 400),
    Row("7.1.1", size_line(b"5;a==b"), 400),
    Row("7.1.1", size_line(b'5;"a"'), 400),
    Row("7.1.1", size_line(b'5;a="b'), 400),
    Row("7.1.1", size_line(b'5;a="b"c'), 400),
    Row("7.1.1", size_line(b'5;a="b\\"'), 400),
    Row("7.1.1", size_line(b'5;a="b\x00"'), 400),
    Row("7.1.1", size_line(b'5;a="b\\\x01"'), 400),
    Row("7.1.1", size_line(b"5;a=b\x00"), 400),
    Row("7.1.1", size_line(b"5;\x7f"), 400),
    Row("7.1.1", size_line(b"5;\xe9"), 400),
    Row("7.1.1", size_line(b"5 a"), 400),
    Row("7.1.1", size_line(b"5=a"), 400),
    Row("7.1.1", size_line(b"5;a\n"), 400),
    Row("7.1.1", size_line(b'5;a="\n"'), 400),
    Row("7.1.1", size_line(b'5;a="\r"'), 400),
    Row("7.1.1", size_line(b'5;a="\r\n"'), 400),  # a line ends where it ends
    Row("7.1.1", size_line(b"5;a\n0\n\nGET /b"), 400),
]

TRAILERS = [
    Row("7.1.2", trailer(b"A: b\r\n"), served(trailers=[(b"a", b"b")])),
    Row("7.1.2", trailer(b"A:\t b\t \r\nC:\r\n"), served(trailers=[(b"a", b"b"), (b"c", b"")])),
    Row("7.1.2", trailer(b"Content-Length: 9\r\n"), served(body=b"", trailers=[(b"content-length", b"9")])),
    Row("7.1.2", trailer(b"Transfer-Encoding: x\r\n"), served(body=b"")),  # they mean nothing there
    Row("7.1.2", trailer(b"Host: b\r\n"), served(host=b"a")),
    Row("7.1.2", trailer(b"Connection: close\r\n") + get(), pipeline({"method": "POST"}, {"method": "GET"})),
    *(
        Row("7.1.2", trailer(name + b": x\r\n") + get(), pipeline({"body": b""}, {"method": "GET"}))
        for name in (
            b"Trailer",
            b"TE",
            b"Expect",
            b"Upgrade",
            b"Authorization",
            b"Cookie",
            b"Content-Type",
            b"Content-Range",
        )
    ),
    Row("7.1.2", trailer(b"Transfer-Encoding: chunked\r\n") + get(), pipeline({"body": b""}, {"method": "GET"})),
    Row("7.1.2", trailer(b"Content-Length: 5\r\n") + get(), pipeline({"body": b""}, {"method": "GET", "body": b""})),
    *(
        Row("7.1.2", trailer(lines + b"\r\n"), 400)
        for lines in (
            *(
                b"A\t: b",
                b"\tA: b",
                b"A b: c",
                b"A: b\r\n\tc",
                b"A: b\r\n ",
                b"A: b\x0b",
                b"A: \x0c",
                b"A\x00: b",
                b"A(b): c",
                b"A/b: c",
            ),
            *(b"A: b\r", b"A\r: b", b"A\n: b", b":", b"A=b", b"\x7f: b", b"A: b\r\nC", b" "),
        )
    ),
    Row("7.1.2", chunked(b"0\r\nA: b\r\n"), NOTHING),
    Row("7.1.2", chunked(b"0\r\nA: b\n\n"), 400),
    Row("7.1.2", chunked(b"0\r\nA: b\r\n\n"), 400),
    Row("7.1.2", trailer(b"A\r\n"), 400),
    Row("7.1.2", trailer(b"A : b\r\n"), 400),
    Row("7.1.2", trailer(b" A: b\r\n"), 400),
    Row("7.1.2", trailer(b"A: b\r\n c\r\n"), 400),
    Row("7.1.2", trailer(b": b\r\n"), 400),
    Row("7.1.2", trailer(b"A: b\x00\r\n"), 400),
    Row("7.1.2", trailer(b"A: b\x7f\r\n"), 400),
    Row("7.1.2", trailer(b"A\xe9: b\r\n"), 400),
    Row("7.1.2", trailer(b"A: b\n"), 400),
    Row("7.1.2", trailer(b"A: b\nC: d\r\n"), 400),
    Row("7.1.2", trailer(b"A: b\rC: d\r\n"), 400),
    Row("7.1.2", trailer(b"GET / HTTP/1.1\r\n"), 400),
]

SMALL = {"max_header_size_bytes": 100, "max_body_size_bytes": 10}


def of_size(size: int) -> bytes:
    """A head of so many bytes."""
    rest = get(b"X: ")
    return get(b"X: " + b"y" * (size - len(rest)))


LIMITS = [
    Row("2.3", of_size(100), served(), SMALL),
    Row("RFC 6585 5", of_size(101), 431, SMALL),
    Row("RFC 6585 5", of_size(101)[:99], NOTHING, SMALL),
    Row("RFC 6585 5", of_size(101)[:100], 431, SMALL),  # its end can't come in time
    Row("RFC 6585 5", get(*[b"X:"] * 30), 431, SMALL),
    Row("RFC 6585 5", get(b"X: " + b"y" * 200)[:150], 431, SMALL),
    Row("3", line(b"GET /" + b"a" * 100 + b" HTTP/1.1"), 414, SMALL),
    Row("3", b"GET /" + b"a" * 100, 414, SMALL),
    Row("3", line(b"GET /" + b"a" * 60 + b" HTTP/1.1"), served(), SMALL),
    Row("3", line(b"GET http://" + b"a" * 90 + b"/ HTTP/1.1"), 414, SMALL),
    Row("RFC 9110 15.5.14", post(b"Content-Length: 10", body=b"0123456789"), served(body=b"0123456789"), SMALL),
    Row("RFC 9110 15.5.14", post(b"Content-Length: 11", body=b"0123456789a"), 413, SMALL),
    Row("RFC 9110 15.5.14", post(b"Content-Length: 18446744073709551615"), 413, SMALL),
    Row("RFC 9110 15.5.14", chunked(b"a\r\n0123456789\r\n0\r\n\r\n"), served(body=b"0123456789"), SMALL),
    Row("RFC 9110 15.5.14", chunked(b"b\r\n0123456789a\r\n0\r\n\r\n"), 413, SMALL),
    Row("RFC 9110 15.5.14", chunked(b"a\r\n0123456789\r\n1\r\na\r\n0\r\n\r\n"), 413, SMALL),
    Row("RFC 9110 15.5.14", chunked(b"ffffffffffffffff\r\n"), 413, SMALL),
    Row("7.1.1", chunked(b"1;" + b"a" * 60 + b"\r\nx\r\n0\r\n\r\n"), served(body=b"x"), SMALL),
    Row("7.1.1", chunked(b"1;" + b"a" * 150 + b"\r\nx\r\n0\r\n\r\n"), 431, SMALL),
    Row("7.1.1", chunked((b"1;" + b"a" * 40 + b"\r\nx\r\n") * 5 + b"0\r\n\r\n"), 431, SMALL),
    Row("7.1.2", trailer(b"A: b\r\n" * 14), served(), SMALL),
    Row("7.1.2", trailer(b"A: b\r\n" * 40), 431, SMALL),
    Row("7.1.2", trailer(b"A: " + b"b" * 150 + b"\r\n"), 431, SMALL),
]

CONNECTION = [
    Row("9.3", get() + get(), pipeline({}, {})),
    Row("9.3", get(b"Connection: close") + get(), served(closes=True)),
    Row("9.6", get(b"Connection: Close"), served(closes=True)),
    Row("9.6", get(b"Connection: keep-alive, close"), served(closes=True)),
    Row("9.6", get(b"Connection: close, keep-alive"), served(closes=True)),
    Row("9.6", get(b"Connection: a ,\tclose ,"), served(closes=True)),
    Row("9.6", get(b"Connection: close", b"Connection: keep-alive"), served(closes=True)),
    Row("9.6", get(b"Connection: keep-alive", b"Connection: close"), served(closes=True)),
    Row("9.6", get(b"Connection: ,close") + get(), served(closes=True)),
    Row("9.6", get(b"CONNECTION:\tCLOSE\t") + get(), served(closes=True)),
    Row("9.6", get(b"Connection: x, close") + get(), served(closes=True)),
    Row("9.6", get(b"Connection: upgrade, close", b"Upgrade: h2c") + get(), served(closes=True)),
    Row("9.6", get(b'Connection: "close"') + get(), pipeline({}, {})),
    Row("9.6", get(b"Connection: close;a") + get(), pipeline({}, {})),
    Row("9.6", get(b"Connection: close close") + get(), pipeline({}, {})),
    Row("9.6", get(b"Connection: keep-alive") + get(), pipeline({}, {})),
    Row("9.6", get(b"Connection: host") + get(), pipeline({"host": b"a"}, {})),
    Row("9.6", get(b"Connection: closed") + get(), pipeline({}, {})),
    Row("9.6", get(b"Connection:") + get(), pipeline({}, {})),
    Row("9.6", get(b"Proxy-Connection: close") + get(), pipeline({}, {})),
    Row("9.6", post(b"Connection: close", b"Content-Length: 5", body=b"hello") + get(), HELLO._replace(closes=True)),
    Row("9.3", head(b"GET / HTTP/1.0") + get(), served(closes=True)),
    Row("9.3", head(b"GET / HTTP/1.0", b"Connection: keep-alive") + get(), pipeline({"version": "1.0"}, {})),
    Row("9.3", head(b"GET / HTTP/1.0", b"Connection: Keep-Alive, close"), served(closes=True)),
    Row("9.3", head(b"GET / HTTP/1.0", b"Connection: x, KEEP-ALIVE") + get(), pipeline({"version": "1.0"}, {})),
    Row("9.3", head(b"GET / HTTP/1.0", b"Connection: x") + get(), served(closes=True)),
    Row("9.3", head(b"GET / HTTP/1.0", b"Proxy-Connection: keep-alive") + get(), served(closes=True)),
    Row("9.3", head(b"GET / HTTP/1.0", b"Keep-Alive: timeout=5") + get(), served(closes=True)),
    Row("9.3", head(b"GET / HTTP/1.0", b"Connection: close", b"Connection: keep-alive") + get(), served(closes=True)),
    Row(
        "9.3",
        head(b"POST / HTTP/1.0", b"Connection: keep-alive", b"Content-Length: 5") + b"hello" + get(),
        pipeline({"body": b"hello"}, {}),
    ),
    Row("9.3", line(b"GET / HTTP/1.9") + get(), pipeline({}, {})),
    Row("9.3", get() + head(b"GET / HTTP/1.0"), Served(({}, {}), closes=True)),
    Row("9.3", line(b"GET / HTTP/1.2") + get(), pipeline({"version": "1.1"}, {})),
]

PIPELINING = [
    Row("9.3.2", line(b"GET /a HTTP/1.1") * 3, pipeline(*[{"path": "/a"}] * 3)),
    Row(
        "9.3.2",
        post(b"Content-Length: 5", body=b"hello") + get() + chunked(b"1\r\nx\r\n0\r\n\r\n") + get(),
        pipeline({"body": b"hello"}, {"body": b""}, {"body": b"x"}, {"body": b""}),
    ),
    Row("9.3.2", get() + b"\r\n\r\n" + get(), pipeline({}, {})),
    Row(
        "2.2", post(b"Content-Length: 5", body=b"hello\r\n") + get(), pipeline({"body": b"hello"}, {})
    ),  # an old mistake
    Row("2.2", post(b"Content-Length: 5", body=b"hello\n") + get(), pipeline({"body": b"hello"}, refused=400)),
    Row("2.2", get() + b"\r" + get(), pipeline({}, refused=400)),
    Row("2.2", get() + b"\n" + get(), pipeline({}, refused=400)),
    Row("2.2", chunked(b"0\r\n\r\n") + b"\r\n" + get(), pipeline({}, {})),
    Row("9.3.2", get() + get() + line(b"GET / RTSP/1.0"), pipeline({}, {}, refused=400)),
    Row("9.3.2", get() + head(b"GET / HTTP/1.1"), pipeline({}, refused=400)),
    Row("9.3.2", get() + line(b"BREW / HTTP/1.1") + get(), pipeline({}, refused=501)),
    Row("9.3.2", get() + chunked(b"x\r\n") + get(), pipeline({}, refused=400)),
    Row("6.3", head(b"HEAD / HTTP/1.1", HOST) + get(), pipeline({"method": "HEAD"}, {"method": "GET"})),
    Row("6.3", get() + b"hello", Served(({},))),  # "hello" begins a request
    Row("9.3.2", get() + b"GET /b", pipeline({})),
    # What is behind the length is the next request, and "\0" begins none.
    Row("6.3", post(b"Content-Length: 4", body=b"hell\0"), pipeline({"body": b"hell"}, refused=400)),
    Row("9.3.2", get() + get(b"X : y") + get(), pipeline({}, refused=400)),
    Row("9.3.2", get() + post(b"Content-Length: x"), pipeline({}, refused=400)),
    Row(
        "6.3",
        post(b"Content-Length: 28", body=line(b"GET /a HTTP/1.1")),
        served(body=line(b"GET /a HTTP/1.1")),
    ),
    Row(
        "6.3",
        chunked(b"0\r\n\r\n" + line(b"GET /smuggled HTTP/1.1")),
        pipeline({"body": b""}, {"path": "/smuggled", "body": b""}),
    ),
    Row(
        "7.1",
        chunked(b"1c\r\n" + line(b"GET /a HTTP/1.1") + b"\r\n0\r\n\r\n"),
        served(body=line(b"GET /a HTTP/1.1")),
    ),
]

TOPICS = {
    "request line": REQUEST_LINE,
    "version": VERSION,
    "target": TARGET,
    "host": HOST_FIELD,
    "line ends": LINE_ENDS,
    "fields": FIELDS,
    "content-length": CONTENT_LENGTH,
    "transfer-encoding": TRANSFER_ENCODING,
    "chunks": CHUNKS,
    "chunk extensions": CHUNK_EXTENSIONS,
    "trailers": TRAILERS,
    "limits": LIMITS,
    "connection": CONNECTION,
    "pipelining": PIPELINING,
}
