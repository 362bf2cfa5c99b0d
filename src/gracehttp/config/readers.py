"""How the values of options are read that have a form of their own: from text, or from what Python and TOML give. Pure.

Each function returns the one form that the program uses, or raises `UnreadableError`. `types` makes types of them.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import TypeGuard

from gracehttp.config.import_string import import_string_hint
from gracehttp.errors import ConfigurationError
from gracehttp.hints import Named, hint
from gracehttp.net.address import DescriptorAddress, parse_bind
from gracehttp.net.trusted_peers import ANY, UNIX, read_network

_ROOT_PATH = "a path that begins with /, such as /api, as it is when percent-decoded"
_PROBE_PATH = re.compile(r"/[!$&'()*+,\-./:;=@_~0-9A-Za-z]*")
_X_FIELDS = (
    "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "script-name",
)  # fmt: skip
_FORWARDED = "forwarded"
_FIELD_LINE = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t\x20-\x7e\xa0-\xff]*")
_SERVERS_OWN = frozenset((
    "date", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "te", "trailer",
    "upgrade",
))  # fmt: skip
_TLS_VERSIONS = {"1.2": "1.2", "1.3": "1.3", "2": "1.2", "5": "1.2", "17": "1.2"}
"""Of the numbers of the ssl module, which uvicorn takes, PROTOCOL_TLS, _TLSv1_2 and _TLS_SERVER."""
_TARGET = re.compile(r"(?:https?://[!-.0-~]+)?/[!-~]*")


class UnreadableError(ValueError):
    """A value is not of its type. The argument says what it must be: "a whole number from 1 to 9"."""

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


def read_share(value: object) -> float | None:
    if value is None or value == "":
        return None
    share: object = value
    if isinstance(value, str) and value.endswith("%"):
        with contextlib.suppress(ValueError):
            share = float(value.removesuffix("%")) / 100
    if not isinstance(share, float) or not 0 <= share <= 1:
        raise UnreadableError("a share from 0% to 100%, such as 5% or 0.5%")
    return share


def read_text(value: object) -> str | None:
    if not isinstance(value, str):
        raise UnreadableError("text")
    return value or None


def read_path(value: object) -> str | None:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or "\0" in value:
        raise UnreadableError("a path")
    return value or None


def read_files(value: object) -> tuple[str, ...]:
    paths = value.splitlines() if isinstance(value, str) else value
    read = [read_path(path) for path in (paths if isinstance(paths, (list, tuple)) else [paths])]
    return tuple(path for path in read if path is not None)


def read_verify(value: object) -> str:
    word = str(value).lower()
    words = ("none", "optional", "required")
    if word in ("0", "1", "2"):  # uvicorn takes the numbers of the ssl module
        return words[int(word)]
    word = word.removeprefix("cert_")
    if isinstance(value, bool) or word not in (*words, "auto"):
        raise UnreadableError("one of auto, none, optional, required")
    return word


def read_tls_version(value: object) -> str:
    word = str(value).lower().removeprefix("tls").removeprefix("v").replace("_", ".")
    if isinstance(value, bool) or word not in _TLS_VERSIONS:
        raise UnreadableError("1.2 or 1.3", hint="older versions of TLS are not safe (RFC 8996), and aren't spoken")
    return _TLS_VERSIONS[word]


def read_paths(value: object) -> tuple[str, ...]:
    what = "a path, or a list of paths"
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    paths = read_texts(value, what)
    if any("\0" in path for path in paths):
        raise UnreadableError(what)
    return paths


def read_account(value: object) -> str | None:
    if is_integer(value):
        value = str(value)
    if not isinstance(value, str) or "\0" in value or value.startswith("-"):
        raise UnreadableError("a name or a number")
    return value or None


def read_host(value: object) -> str | None:
    what = "the name or the address of a host, without a port"
    if not isinstance(value, str):
        raise UnreadableError(what)
    host = value.removeprefix("[").removesuffix("]")
    if "/" in host or host.startswith("unix:") or " " in host:
        raise UnreadableError(what, hint=hint("{} takes all forms of addresses", Named("bind")))
    if host.count(":") == 1:
        raise UnreadableError(what, hint=hint("the port has an option of its own, {}", Named("port")))
    return host or None


def read_port(value: object) -> int | None:
    if value is None or value == "":
        return None
    port: object = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if not is_integer(port) or not 0 <= port <= 65535:
        raise UnreadableError("a port from 0 to 65535")
    return port


def read_pidfile(value: object) -> str | None:
    path = read_path(value)
    if path is not None and path.isdecimal():  # in many programs `-p` is the port
        port = Named("bind", f":{path}")
        raise UnreadableError(
            "the path of a file", hint=hint("-p is the pidfile; the port is {}, and a file ./{}", port, path)
        )
    return path


def read_mode(value: object) -> int | None:
    if value == "":
        return None
    if isinstance(value, str) and (digits := value.lower().removeprefix("0o")) and set(digits) <= set("01234567"):
        value = int(digits, 8)
    if not is_integer(value) or not 0 <= value <= 0o777:
        raise UnreadableError('permission bits: write them in octal, as "660" or 0o660')
    return value


def read_targets(value: object) -> tuple[str, ...]:
    what = "a path that begins with /, or a URL such as https://example.com/info, or a list of them"
    targets = read_texts(value, what)
    for target in targets:
        if not _TARGET.fullmatch(target):
            raise UnreadableError(what)
    return targets


def read_binds(value: object) -> tuple[str, ...]:
    what = "an address, or a list of addresses"
    if is_integer(value):
        instead = f'write "127.0.0.1:{value}" for this machine only, or ":{value}" for all of its addresses'
        raise UnreadableError(what, hint=instead)
    return tuple(text.strip() for text in read_texts(value, what))


def read_metrics_address(value: object) -> str | None:
    what = "an address such as 127.0.0.1:9090, or unix:PATH"
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise UnreadableError(what)
    try:
        bind = parse_bind(value)
    except ConfigurationError as exc:
        raise UnreadableError(what, hint=exc.hint) from None
    if bind.tls or bind.settings or isinstance(bind.address, DescriptorAddress):
        raise UnreadableError(what, hint="metrics are served in plain HTTP; a proxy in front can add TLS")
    return str(bind.address)


def read_texts(value: object, what: str) -> tuple[str, ...]:
    """Several texts. One text is split at white space, so that an environment variable can hold several."""
    items = value.split() if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) and item.strip() for item in items):
        raise UnreadableError(what)
    return tuple(items)


def read_folders(value: object) -> tuple[str, ...]:
    several = value if isinstance(value, (list, tuple)) else (value,)
    folders = [os.fspath(one) if isinstance(one, os.PathLike) else one for one in several]
    one_text = len(folders) == 1 and isinstance(value, str)
    return read_texts(value if one_text else folders, "a folder, or a list of folders")


def read_peers(value: object) -> tuple[str, ...]:
    what = "addresses, networks such as 10.0.0.0/8, unix or *, with commas between them, or none"
    names = read_list(value, what)
    for name in names:
        if name not in (UNIX, ANY):
            try:
                read_network(name)
            except ValueError as exc:
                raise UnreadableError(what, hint=f"{exc}") from None
    return names


def read_forwarded_fields(value: object) -> tuple[str, ...]:
    what = f"some of {', '.join(_X_FIELDS)}; or {_FORWARDED} alone; or none"
    names = tuple(name.lower() for name in read_list(value, what))
    if not set(names) <= {*_X_FIELDS, _FORWARDED}:
        raise UnreadableError(what)
    if _FORWARDED in names and len(names) > 1:
        raise UnreadableError(
            what, hint="a proxy that sets one of the two forms passes the other on, as whatever its client has sent"
        )
    return names


def read_list(value: object, what: str) -> tuple[str, ...]:
    """Names, in a text with commas between them; `none` is no name."""
    names = value.replace(",", " ") if isinstance(value, str) else value
    return () if names in ("", "none") else read_texts(names, what)


def read_root_path(value: object) -> str:
    if not isinstance(value, str):
        raise UnreadableError(_ROOT_PATH)
    path = value.rstrip("/")
    parts = path.split("/")
    if path and (not path.startswith("/") or not path.isprintable() or set("?#%") & set(path)):
        raise UnreadableError(_ROOT_PATH)
    if {"", ".", ".."} & set(parts[1:]):
        raise UnreadableError(_ROOT_PATH)
    return path


def read_probe_path(value: object) -> str | None:
    if value in ("", "none"):
        return None
    if not isinstance(value, str) or _PROBE_PATH.fullmatch(value) is None:
        raise UnreadableError("a path such as /livez, without ?, # and %")
    return value


def read_address(value: object) -> str | None:
    what = "an address, HOST:PORT or unix:PATH"
    if value in ("", "none"):
        return None
    if not isinstance(value, str):
        raise UnreadableError(what)
    try:
        bind = parse_bind(value)
    except ConfigurationError:
        raise UnreadableError(what) from None
    if bind.tls or bind.settings or isinstance(bind.address, DescriptorAddress):
        raise UnreadableError(what)
    return str(bind.address)


def read_headers(value: object) -> tuple[str, ...]:
    what = "a field such as X-Name: value, or a list of them"
    lines = [line for line in value.splitlines() if line.strip()] if isinstance(value, str) else value
    if not isinstance(lines, (list, tuple)):
        raise UnreadableError(what)
    for line in lines:
        if not isinstance(line, str) or (match := _FIELD_LINE.fullmatch(line)) is None:
            raise UnreadableError(what)
        if match[1].lower() in _SERVERS_OWN:
            own = "leave Date out with {}" if match[1].lower() == "date" else "it is about the connection or the body"
            raise UnreadableError("a field that isn't the server's own", hint=hint(own, Named("date_header", False)))
    return tuple(lines)


def read_application(value: object) -> object:
    if isinstance(value, str) and value.strip():
        wrong = import_string_hint(value)
        if wrong is not None:
            raise UnreadableError("an import string such as main:app", hint=wrong)
    elif isinstance(value, str) or not callable(value):
        raise UnreadableError("an application: give module:attribute, or an ASGI or WSGI callable")
    return value


def is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def read_function(value: object) -> object:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        if not all(value.partition(":")):
            raise UnreadableError("an import string such as main:startup")
    elif not callable(value):
        raise UnreadableError("a function without parameters, or its import string such as main:startup")
    return value
