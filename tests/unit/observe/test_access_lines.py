"""Lines of the access log in the formats of others, held against what those programs read."""

from __future__ import annotations

import base64
import json
import re

import pytest

from gracehttp.config.access_format import ATOMS, FIELDS, read_access_format
from gracehttp.http.head import RefusedHead, RequestHead, RequestLine
from gracehttp.observe import local_time
from gracehttp.observe.access_log import AccessLog
from gracehttp.observe.logs import configure_logging

COMBINED = re.compile(
    r'(\S+) \S+ (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"'
)
"""As programs read it: values between quotation marks, in which a backslash escapes."""


@pytest.fixture(autouse=True)
def _zone():
    before = local_time.offsets()
    local_time.use_offsets(((0, -34200),))  # 9:30 behind UTC
    yield
    local_time.use_offsets(before)


def head(method="GET", target=b"/a%20b?c=d", headers=(), *, version="1.1", client=("192.0.2.1", 5000)):
    made = RequestHead()
    made.line, made.scheme = RequestLine(method, target, version), "http"
    made.headers = list(headers)
    made.client, made.server = client, ("127.0.0.1", 80)
    return made


def line(stderr, form, request=None, *, status=200, body_bytes=12, seconds=0.0345, **options):
    configure_logging("info", "text", color=False)
    AccessLog(1, 7, read_access_format(form), **options)(request or head(), status, body_bytes, seconds)
    return stderr.getvalue()


def test_combined_is_the_whole_line_and_is_read_by_the_pattern_of_others(stderr):
    fields = [(b"referer", b'http://x/"quoted"'), (b"user-agent", b"Mozilla/5.0 (\x1b[2J)")]
    shown = line(stderr, "combined", head(headers=fields))
    match = COMBINED.fullmatch(shown.rstrip("\n"))
    assert match is not None, shown
    address, user, moment, request, status, size, referer, agent = match.groups()
    assert (address, user, request, status, size) == ("192.0.2.1", "-", "GET /a%20b?c=d HTTP/1.1", "200", "12")
    assert (referer, agent) == (r"http://x/\"quoted\"", r"Mozilla/5.0 (\x1b[2J)")
    assert re.fullmatch(r"\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d -0930", moment)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("%(h)s|%(l)s|%(m)s|%(U)s|%(q)s|%(H)s", "192.0.2.1|-|GET|/a%20b|c=d|HTTP/1.1"),
        ("%(s)s|%(B)s|%(b)s|%(T)s|%(M)s|%(D)s|%(L)s", "200|12|12|0|34|34500|0.034500"),
        ("%(f)s|%(a)s|%({x-thing}i)s|%({missing}i)s", "-|-|it|-"),
        ("%(client)s|%(worker)s|%(generation)s|%(host)s", "192.0.2.1:5000|1|7|example.com"),
        ("%(request_id)s|%(scheme)s|%(path)s|%(cut)s|%(close_code)s", "abc|http|/a b|-|-"),
    ],
)
def test_atoms_and_fields(stderr, form, expected):
    fields = [(b"host", b"example.com"), (b"x-thing", b"it"), (b"x-request-id", b"abc")]
    assert line(stderr, form, head(headers=fields)) == expected + "\n"


def test_basic_authentication_names_the_user_and_nothing_else_does(stderr):
    credentials = base64.b64encode("jörg:geheim".encode())
    shown = line(stderr, "%(u)s", head(headers=[(b"authorization", b"Basic " + credentials)]))
    assert shown == "jörg\n"
    for value in (b"Basic =", b"Bearer abc", b"Basic " + base64.b64encode(b"\xff\xfe:x")):
        assert line(stderr, "%(u)s", head(headers=[(b"authorization", value)])).endswith("\n-\n")


def test_a_client_that_left_before_there_was_a_status(stderr):
    assert line(stderr, "%(s)s %(status)s %(b)s", status=0, body_bytes=0) == "499 0 -\n"


def test_a_response_of_which_only_a_part_was_sent(stderr):
    request = head()
    request.mark_cut()
    assert json.loads(line(stderr, "json:status,cut", request))["cut"] is True
    assert line(stderr, "log", request).endswith(" worker 1 generation 7 cut\n")


def test_json_has_what_is_known_of_what_was_chosen(stderr):
    entry = json.loads(line(stderr, "json:status,user_agent,path,pid"))
    assert list(entry) == ["time", "status", "path", "pid"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"])


@pytest.mark.parametrize("form", ["combined", "json", *(f"%({name})s" for name in (*ATOMS, *FIELDS))])
def test_of_a_refused_request_little_is_known(stderr, form):
    shown = line(stderr, form, RefusedHead("", b"", ("192.0.2.1", 1)), status=400)
    assert shown.count("\n") == 1


@pytest.mark.parametrize("form", ["log", "combined", "json"])
def test_excluded_paths_are_left_out(stderr, form):
    excluded = ("/healthz", "/static/*")
    for target in (b"/healthz", b"/healthz?x=y", b"/static/", b"/static/a/b"):
        assert not line(stderr, form, head(target=target), excluded=excluded)
    for target in (b"/healthz/", b"/static", b"/"):
        assert line(stderr, form, head(target=target), excluded=excluded)
    assert line(stderr, form, RefusedHead("GET", b"/healthz", None), excluded=excluded)
