"""The environ of PEP 3333."""

from __future__ import annotations

import io
import sys
from wsgiref.validate import check_environ

import pytest
from wsgi_fakes import request_head

from gracehttp.applications.drain_notice import DrainNotices
from gracehttp.applications.wsgi.environ import FileWrapper, build_environ, environ_template
from gracehttp.http.http1.parser import LatestFields, parse_head, parse_known_head

DRAINING = DrainNotices().wsgi
TEMPLATE = environ_template(multithread=True, multiprocess=False, draining=DRAINING)


def environ(*args, **kwargs):
    return build_environ(request_head(*args, **kwargs), TEMPLATE, io.BytesIO())


def test_request_line():
    env = environ("POST", b"/a/b?x=1&y=2")
    assert (env["REQUEST_METHOD"], env["SCRIPT_NAME"], env["PATH_INFO"]) == ("POST", "", "/a/b")
    assert (env["QUERY_STRING"], env["REQUEST_URI"]) == ("x=1&y=2", "/a/b?x=1&y=2")
    assert env["SERVER_PROTOCOL"] == "HTTP/1.1"


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/caf%C3%A9", "/cafÃ©"),  # the bytes of UTF-8, each as the latin-1 character
        (b"/%ff", "/ÿ"),
        (b"/%2F%25", "//%"),
        (b"/%zz", "/%zz"),
        (b"*", ""),  # a path that begins with a slash or is empty (PEP 3333)
    ],
)
def test_path_is_percent_decoded_and_tunnelled_as_latin_1(raw, path):
    assert environ(target=raw)["PATH_INFO"] == path


def test_the_path_of_the_application_is_not_in_that_of_the_request():
    head = request_head(target=b"/a%20b?c")
    head.line = head.line.under("/ä", b"/%C3%A4")
    env = build_environ(head, TEMPLATE, io.BytesIO())
    assert (env["SCRIPT_NAME"], env["PATH_INFO"]) == ("/ä".encode().decode("latin-1"), "/a b")
    assert env["REQUEST_URI"] == "/a%20b?c"


def test_a_client_whose_port_is_not_known_has_none():
    env = environ(client=("192.0.2.1", 0))
    assert env["REMOTE_ADDR"] == "192.0.2.1"
    assert "REMOTE_PORT" not in env


def test_query_stays_encoded():
    assert environ(target=b"/?q=%C3%A9?")["QUERY_STRING"] == "q=%C3%A9?"


def test_a_request_for_the_whole_server_is_accepted_by_the_validator_of_the_standard_library():
    env = environ(method="OPTIONS", target=b"*")
    env["wsgi.input"] = io.BytesIO()
    check_environ(env)
    assert env["REQUEST_URI"] == "*"


def test_a_field_named_proxy_names_no_proxy():
    assert "HTTP_PROXY" not in environ(headers=[(b"proxy", b"http://evil.example")])


def test_headers_become_http_keys():
    env = environ(headers=[(b"user-agent", b"x"), (b"x-my-own", b"caf\xe9")])
    assert (env["HTTP_USER_AGENT"], env["HTTP_X_MY_OWN"]) == ("x", "café")


def test_content_headers_have_no_prefix():
    env = environ(headers=[(b"content-type", b"text/plain"), (b"content-length", b"3")])
    assert (env["CONTENT_TYPE"], env["CONTENT_LENGTH"]) == ("text/plain", "3")
    assert not any(key.startswith("HTTP_") for key in env)


def test_absent_content_headers_are_absent():
    assert "CONTENT_LENGTH" not in environ()
    assert "CONTENT_TYPE" not in environ()


def test_fields_of_one_name_are_joined_and_cookies_by_semicolon():
    env = environ(
        headers=[
            (b"accept", b"a"),
            (b"cookie", b"x=1"),
            (b"accept", b"b"),
            (b"cookie", b"y=2"),
            (b"x-o", b"1"),
            (b"x-o", b""),
        ]
    )
    assert (env["HTTP_ACCEPT"], env["HTTP_COOKIE"], env["HTTP_X_O"]) == ("a,b", "x=1; y=2", "1,")


@pytest.mark.parametrize("name", [b"x_forwarded_for", b"x-forwarded_for", b"content_length"])
def test_names_with_underscores_cannot_stand_in_for_others(name):
    env = environ(headers=[(b"x-forwarded-for", b"1.2.3.4"), (name, b"6.6.6.6")])
    assert env["HTTP_X_FORWARDED_FOR"] == "1.2.3.4"
    assert "6.6.6.6" not in map(str, env.values())


def test_addresses():
    env = environ()
    assert (env["SERVER_NAME"], env["SERVER_PORT"]) == ("127.0.0.1", "8000")
    assert (env["REMOTE_ADDR"], env["REMOTE_PORT"]) == ("127.0.0.1", "5000")


@pytest.mark.parametrize(("scheme", "port"), [("http", "80"), ("https", "443")])
def test_unix_socket_has_a_name_and_port_all_the_same(scheme, port):
    env = environ(client=None, server=("/run/app.sock", None), scheme=scheme)
    assert (env["SERVER_NAME"], env["SERVER_PORT"], env["REMOTE_ADDR"]) == ("localhost", port, "")
    assert "REMOTE_PORT" not in env


def test_scheme():
    assert environ()["wsgi.url_scheme"] == "http"
    assert "HTTPS" not in environ()
    assert environ(scheme="https")["wsgi.url_scheme"] == "https"
    assert environ(scheme="https")["HTTPS"] == "on"


def test_wsgi_keys():
    body = io.BytesIO()
    template = environ_template(multithread=False, multiprocess=True, draining=DRAINING)
    env = build_environ(request_head(), template, body)
    assert env["wsgi.version"] == (1, 0)
    assert env["wsgi.input"] is body
    assert env["wsgi.errors"] is sys.stderr
    assert (env["wsgi.multithread"], env["wsgi.multiprocess"], env["wsgi.run_once"]) == (False, True, False)
    assert env["wsgi.input_terminated"] is True
    assert env["gracehttp.draining"] is DRAINING


def test_each_request_has_an_environ_of_its_own():
    environ()["HTTP_X"] = "1"
    assert "HTTP_X" not in environ()
    assert "HTTP_X" not in TEMPLATE


def test_file_wrapper_reads_in_blocks():
    assert list(FileWrapper(io.BytesIO(b"abcde"), 2)) == [b"ab", b"cd", b"e"]


def test_file_wrapper_has_a_close_method_exactly_if_the_file_has_one():
    class Plain:
        def read(self, size: int) -> bytes:
            return b""

    file = io.BytesIO()
    FileWrapper(file).close()
    assert file.closed
    assert not hasattr(FileWrapper(Plain()), "close")


def kept_heads(*blocks: bytes):
    """The heads of one connection, which keeps its fields."""
    latest = LatestFields()
    for block in blocks:
        head = parse_known_head(block, "http", latest) or parse_head(block, "http", latest)
        head.client, head.server, head.tls = ("127.0.0.1", 5000), ("127.0.0.1", 8000), None
        yield head


def test_an_environ_is_the_same_whether_the_connection_keeps_its_fields_or_not():
    fields = b"Host: a\r\nCookie: b=c\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\n"
    blocks = [
        b"GET /one?a=b HTTP/1.1\r\n" + fields,
        b"GET /one?a=b HTTP/1.1\r\n" + fields,
        b"HEAD /%C3%A9 HTTP/1.1\r\n" + fields,
        b"GET /one?a=b HTTP/1.1\r\nHost: a\r\nCookie: b=d\r\n\r\n",
        b"GET /one?a=b HTTP/1.1\r\nHost: a\r\n\r\n",
    ]
    body = io.BytesIO()
    for block, head in zip(blocks, kept_heads(*blocks), strict=True):
        alone = next(kept_heads(block))
        assert build_environ(head, TEMPLATE, body) == build_environ(alone, TEMPLATE, body)


def test_what_a_connection_keeps_is_made_into_an_environ_once():
    block = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: of-this-client\r\n\r\n"
    first, second = (build_environ(head, TEMPLATE, io.BytesIO()) for head in kept_heads(block, block))
    assert first["HTTP_COOKIE"] is second["HTTP_COOKIE"]


def test_what_an_application_does_to_its_environ_is_not_kept():
    block = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    for head in kept_heads(block, block, block):
        env = build_environ(head, TEMPLATE, io.BytesIO())
        assert env["HTTP_HOST"] == "a"
        assert "REMOTE_USER" not in env
        env.update(HTTP_HOST="b", REMOTE_USER="someone", PATH_INFO="/other")
        del env["QUERY_STRING"]
