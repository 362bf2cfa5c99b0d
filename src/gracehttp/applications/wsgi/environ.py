"""The environ of a request (PEP 3333, "environ Variables"; RFC 3875 section 4.1). Pure."""

from __future__ import annotations

import io
import sys
from typing import Any
from urllib.parse import unquote_to_bytes

from gracehttp.applications.drain_notice import ThreadDrainNotice
from gracehttp.applications.wsgi.file_wrapper import FileWrapper
from gracehttp.http.head import RequestHead, RequestLine

Environ = dict[str, Any]

_PERCENT_SIGN = ord("%")  # not b"%": to look for bytes in bytes, Python raises and drops a TypeError first


def environ_template(*, multithread: bool, multiprocess: bool, draining: ThreadDrainNotice) -> Environ:
    """The part of the environ that all requests of an application share, and the keys of what each of them has."""
    return {
        # Of each request; they have their places already.
        "REQUEST_METHOD": "",
        "SCRIPT_NAME": "",
        "PATH_INFO": "",
        "QUERY_STRING": "",
        "REQUEST_URI": "",
        "SERVER_PROTOCOL": "",
        "wsgi.input": None,
        "wsgi.errors": None,
        "SERVER_SOFTWARE": "gracehttp",
        "wsgi.version": (1, 0),
        "wsgi.multithread": multithread,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        # An extension that Werkzeug and others know: it is safe to read to the end, also without a CONTENT_LENGTH.
        "wsgi.input_terminated": True,
        "gracehttp.draining": draining,
    }


def build_environ(head: RequestHead, template: Environ, body: io.BufferedIOBase) -> Environ:
    """A new environ for one request. The bytes of the client stand in it as latin-1 text (PEP 3333)."""
    line = head.line
    derived = line.environ
    if derived is None:
        derived = line.environ = _of_the_line(line)
    kept = head.kept
    if kept is None:
        environ = _of_the_rest(head, template)
        environ.update(derived)
    else:
        found = kept.environ
        if found is None:
            environ = _of_the_rest(head, template)
            environ.update(derived)
            kept.environ = found = (line, environ)
        known = found[1]
        environ = known.copy()  # applications may change theirs
        if found[0] is not line:
            environ.update(derived)
    environ["wsgi.input"] = body
    environ["wsgi.errors"] = sys.stderr  # looked up each time: an application may have replaced it
    return environ


def _of_the_line(line: RequestLine) -> Environ:
    script_name, raw_path = "", line.raw_path
    if line.root_path:
        script_name = line.root_path.encode().decode("latin-1")
        raw_path = raw_path[len(line.raw_root_path) :]
    if raw_path == b"*":  # PEP 3333 has no word for it: a path begins with a slash or is empty
        raw_path = b""
    return {
        "SCRIPT_NAME": script_name,
        "REQUEST_METHOD": line.method,
        "PATH_INFO": (unquote_to_bytes(raw_path) if _PERCENT_SIGN in raw_path else raw_path).decode("latin-1"),
        "QUERY_STRING": line.query_string.decode("latin-1"),
        "REQUEST_URI": line.target.decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{line.http_version}",
    }


def _of_the_rest(head: RequestHead, template: Environ) -> Environ:
    """What stands in the head beside the request line, whose keys are there already."""
    environ = template.copy()
    environ["wsgi.url_scheme"] = head.scheme
    _add_addresses(environ, head)
    _add_headers(environ, head)
    return environ


def _add_addresses(environ: Environ, head: RequestHead) -> None:
    if head.scheme == "https":
        environ["HTTPS"] = "on"
    if head.tls is not None:
        environ.update(head.tls.environ())
    # SERVER_NAME and SERVER_PORT can never be empty (PEP 3333); a Unix socket has neither.
    name, port = head.server or ("localhost", None)
    environ["SERVER_NAME"] = "localhost" if port is None else name
    environ["SERVER_PORT"] = str((443 if head.scheme == "https" else 80) if port is None else port)
    # RFC 3875 4.1.8 requires REMOTE_ADDR; the peer of a Unix socket has no address.
    environ["REMOTE_ADDR"] = ""
    if head.client is not None:
        environ["REMOTE_ADDR"] = head.client[0]
        if head.client[1]:  # a proxy need not have told it
            environ["REMOTE_PORT"] = str(head.client[1])


def _add_headers(environ: Environ, head: RequestHead) -> None:
    for name, value in head.headers:
        key = _KEYS.get(name) or _key(name)
        if key is None:
            continue
        text = value.decode("latin-1")
        if key in environ:
            # Fields of one name are one list (RFC 9110 section 5.3); cookies are joined as in RFC 9113 section 8.2.3.
            separator = "; " if key == "HTTP_COOKIE" else ","
            text = f"{environ[key]}{separator}{text}"
        environ[key] = text


def _key(name: bytes) -> str | None:
    """The environ key of a header field, None for a field that must be left out.

    `X_Forwarded_For` would get the same key as `X-Forwarded-For`. So a client could slip its own value past a proxy
    that sets the real one. `Proxy` would become HTTP_PROXY, which names the proxy for the requests of the application
    itself (httpoxy, CVE-2016-5385).
    """
    if b"_" in name or name == b"proxy":
        return None
    return "HTTP_" + name.decode("latin-1").upper().replace("-", "_")


# The keys of the common fields, made once. A cache would do too, but clients could fill it with invented names.
_COMMON_FIELDS = """
accept accept-charset accept-encoding accept-language authorization cache-control connection cookie dnt expect
forwarded from host if-match if-modified-since if-none-match if-range if-unmodified-since max-forwards origin
pragma priority proxy-authorization range referer sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest
sec-fetch-mode sec-fetch-site sec-fetch-user te traceparent tracestate trailer transfer-encoding upgrade
upgrade-insecure-requests user-agent via x-csrf-token x-csrftoken x-forwarded-for x-forwarded-host
x-forwarded-port x-forwarded-proto x-real-ip x-request-id x-requested-with
"""
_KEYS = {
    **{name.encode(): _key(name.encode()) for name in _COMMON_FIELDS.split()},
    b"content-type": "CONTENT_TYPE",
    b"content-length": "CONTENT_LENGTH",
}
