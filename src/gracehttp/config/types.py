"""The types of options: how a value is read from text or from Python, and how it is shown.

An option has a `Kind`. Each function below makes one: `count(minimum=1)`, `duration()`, `one_of("asgi", "wsgi")`. Pure.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from gracehttp.config.import_string import import_string_hint
from gracehttp.config.units import format_duration, format_size, parse_duration, parse_size
from gracehttp.errors import ConfigurationError
from gracehttp.hints import Named, hint
from gracehttp.net.address import DescriptorAddress, parse_bind
from gracehttp.net.trusted_peers import ANY, UNIX, read_network
from gracehttp.values import EMPTY, Value

_YEAR_SECONDS = 366 * 86400.0
_YES = ("true", "yes", "on", "1")
_NO = ("false", "no", "off", "0")
_DURATION = "a duration such as 500ms, 30s, 1m30s or 2h"
_SIZE = "a size such as 512, 64k or 10M"


_ROOT_PATH = "a path that begins with /, such as /api, as it is when percent-decoded"
_LISTED = "str | list[str] | tuple[str, ...]"
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


class UnreadableError(ValueError):
    """A value is not of its type. The argument says what it must be: "a whole number from 1 to 9"."""

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


class Kind(Value):
    """The type of an option.

    `parse` takes what a source gives (text of the command line, an integer of a TOML file, a keyword argument). It
    returns the one form that the program uses, or raises `UnreadableError`. `write` makes text of that form.
    """

    parse: Callable[[object], Any]
    write: Callable[[Any], str] = str
    metavar: str = "TEXT"
    """Stands for the value in help."""
    repeatable: bool = False
    """The option can be given again, and the value is a tuple."""
    secret: bool = False
    """The value must not be shown."""
    is_path: bool = False
    """A relative path is taken from the folder of the file of options in which it stands."""
    is_flag: bool = False
    """The option of the command line takes no value."""
    negatable: bool = False
    """The command line has `--no-NAME` beside the flag `--NAME`."""
    keyword: str = "str"
    """The type of the keyword argument, as in an annotation. None is allowed for each: it stands for the default."""

    @property
    def words(self) -> tuple[str, ...]:
        """What the value may be, if that is one of some words: those that stand for it in help."""
        return tuple(word for word in self.metavar.split("|") if word != word.upper() or word[0].isdigit())

    def show(self, value: object) -> str:
        """What `parse` returned, as a person would write it."""
        if value is None or value == ():
            return "none"
        return "(hidden)" if self.secret else self.write(value)


def count(minimum: int = 0, maximum: int = 1 << 31, *, optional: bool = False) -> Kind:
    """A whole number from `minimum` to `maximum`. With `optional`, the empty text is None."""

    def parse(value: object) -> int | None:
        if value == "" and optional:
            return None
        if isinstance(value, str) and (digits := value.strip().replace("_", "")).isdecimal():
            value = int(digits)
        if not _is_integer(value) or not minimum <= value <= maximum:
            raise UnreadableError(f"a whole number from {minimum} to {maximum}")
        return value

    return Kind(parse, metavar="N", keyword="int")


def duration(*, may_be_zero: bool = False) -> Kind:
    """Seconds as a float: above zero, or zero too where it has a meaning."""
    lowest = "0s" if may_be_zero else "above 0s"

    def parse(value: object) -> float:
        if isinstance(value, str):
            try:
                value = parse_duration(value)
            except ValueError:
                raise UnreadableError(_DURATION) from None
        if not _is_number(value) or not 0 <= value <= _YEAR_SECONDS or (value == 0 and not may_be_zero):
            raise UnreadableError(f"{_DURATION}, {lowest} to a year")
        return float(value)

    return Kind(parse, format_duration, metavar="DURATION", keyword="float | str")


def size(minimum: int = 0, *, zero_means: str = "") -> Kind:
    """Bytes, at least `minimum`. With `zero_means`, 0 is allowed too, and means that."""

    def parse(value: object) -> int:
        if isinstance(value, str):
            try:
                value = parse_size(value)
            except ValueError:
                raise UnreadableError(_SIZE) from None
        if value == 0 and _is_integer(value) and zero_means:
            return 0
        if not _is_integer(value) or not minimum <= value < 1 << 62:
            raise UnreadableError(f"{_SIZE}, at least {format_size(minimum)}")
        return value

    def write(number: int) -> str:
        return f"0 ({zero_means})" if number == 0 and zero_means else format_size(number)

    return Kind(parse, write, metavar="SIZE", keyword="int | str")


def one_of(*words: str, hints: Mapping[str, str] = EMPTY) -> Kind:
    """One of `words`, which are in lower case. `hints` say what to write instead of words of other servers."""

    def parse(value: object) -> str:
        word = value.lower() if isinstance(value, str) else ""
        if word not in words:
            raise UnreadableError(f"one of {', '.join(words)}", hint=hints.get(word, ""))
        return word

    return Kind(parse, metavar="|".join(words), keyword=f"Literal[{', '.join(map(_quoted, words))}]")


def _quoted(word: str) -> str:
    return f'"{word}"'


def flag(*, negatable: bool = True) -> Kind:
    """Yes or no."""

    def parse(value: object) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and (word := value.strip().lower()) in _YES + _NO:
            return word in _YES
        raise UnreadableError("true or false")

    return Kind(
        parse, lambda value: str(value).lower(), metavar="BOOL", is_flag=True, negatable=negatable, keyword="bool"
    )


def _read_share(value: object) -> float | None:
    if value is None or value == "":
        return None
    share: object = value
    if isinstance(value, str) and value.endswith("%"):
        with contextlib.suppress(ValueError):
            share = float(value.removesuffix("%")) / 100
    if not isinstance(share, float) or not 0 <= share <= 1:
        raise UnreadableError("a share from 0% to 100%, such as 5% or 0.5%")
    return share


def _read_text(value: object) -> str | None:
    if not isinstance(value, str):
        raise UnreadableError("text")
    return value or None


def _read_path(value: object) -> str | None:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or "\0" in value:
        raise UnreadableError("a path")
    return value or None


def _read_files(value: object) -> tuple[str, ...]:
    paths = value.splitlines() if isinstance(value, str) else value
    read = [_read_path(path) for path in (paths if isinstance(paths, (list, tuple)) else [paths])]
    return tuple(path for path in read if path is not None)


def _read_verify(value: object) -> str:
    word = str(value).lower()
    words = ("none", "optional", "required")
    if word in ("0", "1", "2"):  # uvicorn takes the numbers of the ssl module
        return words[int(word)]
    word = word.removeprefix("cert_")
    if isinstance(value, bool) or word not in (*words, "auto"):
        raise UnreadableError("one of auto, none, optional, required")
    return word


_TLS_VERSIONS = {"1.2": "1.2", "1.3": "1.3", "2": "1.2", "5": "1.2", "17": "1.2"}
"""Of the numbers of the ssl module, which uvicorn takes, PROTOCOL_TLS, _TLSv1_2 and _TLS_SERVER."""


def _read_tls_version(value: object) -> str:
    word = str(value).lower().removeprefix("tls").removeprefix("v").replace("_", ".")
    if isinstance(value, bool) or word not in _TLS_VERSIONS:
        raise UnreadableError("1.2 or 1.3", hint="older versions of TLS are not safe (RFC 8996), and aren't spoken")
    return _TLS_VERSIONS[word]


def _read_paths(value: object) -> tuple[str, ...]:
    what = "a path, or a list of paths"
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    paths = _read_texts(value, what)
    if any("\0" in path for path in paths):
        raise UnreadableError(what)
    return paths


def _read_account(value: object) -> str | None:
    if _is_integer(value):
        value = str(value)
    if not isinstance(value, str) or "\0" in value or value.startswith("-"):
        raise UnreadableError("a name or a number")
    return value or None


def _read_host(value: object) -> str | None:
    what = "the name or the address of a host, without a port"
    if not isinstance(value, str):
        raise UnreadableError(what)
    host = value.removeprefix("[").removesuffix("]")
    if "/" in host or host.startswith("unix:") or " " in host:
        raise UnreadableError(what, hint=hint("{} takes all forms of addresses", Named("bind")))
    if host.count(":") == 1:
        raise UnreadableError(what, hint=hint("the port has an option of its own, {}", Named("port")))
    return host or None


def _read_port(value: object) -> int | None:
    if value is None or value == "":
        return None
    port: object = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if not _is_integer(port) or not 0 <= port <= 65535:
        raise UnreadableError("a port from 0 to 65535")
    return port


def _read_pidfile(value: object) -> str | None:
    path = _read_path(value)
    if path is not None and path.isdecimal():  # in many programs `-p` is the port
        port = Named("bind", f":{path}")
        raise UnreadableError(
            "the path of a file", hint=hint("-p is the pidfile; the port is {}, and a file ./{}", port, path)
        )
    return path


def _read_mode(value: object) -> int | None:
    if value == "":
        return None
    if isinstance(value, str) and (digits := value.lower().removeprefix("0o")) and set(digits) <= set("01234567"):
        value = int(digits, 8)
    if not _is_integer(value) or not 0 <= value <= 0o777:
        raise UnreadableError('permission bits: write them in octal, as "660" or 0o660')
    return value


_TARGET = re.compile(r"(?:https?://[!-.0-~]+)?/[!-~]*")


def _read_targets(value: object) -> tuple[str, ...]:
    what = "a path that begins with /, or a URL such as https://example.com/info, or a list of them"
    targets = _read_texts(value, what)
    for target in targets:
        if not _TARGET.fullmatch(target):
            raise UnreadableError(what)
    return targets


def _read_binds(value: object) -> tuple[str, ...]:
    what = "an address, or a list of addresses"
    if _is_integer(value):
        instead = f'write "127.0.0.1:{value}" for this machine only, or ":{value}" for all of its addresses'
        raise UnreadableError(what, hint=instead)
    return tuple(text.strip() for text in _read_texts(value, what))


def _read_metrics_address(value: object) -> str | None:
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


def _read_texts(value: object, what: str) -> tuple[str, ...]:
    """Several texts. One text is split at white space, so that an environment variable can hold several."""
    items = value.split() if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) and item.strip() for item in items):
        raise UnreadableError(what)
    return tuple(items)


def _read_folders(value: object) -> tuple[str, ...]:
    several = value if isinstance(value, (list, tuple)) else (value,)
    folders = [os.fspath(one) if isinstance(one, os.PathLike) else one for one in several]
    one_text = len(folders) == 1 and isinstance(value, str)
    return _read_texts(value if one_text else folders, "a folder, or a list of folders")


def _read_peers(value: object) -> tuple[str, ...]:
    what = "addresses, networks such as 10.0.0.0/8, unix or *, with commas between them, or none"
    names = _read_list(value, what)
    for name in names:
        if name not in (UNIX, ANY):
            try:
                read_network(name)
            except ValueError as exc:
                raise UnreadableError(what, hint=f"{exc}") from None
    return names


def _read_forwarded_fields(value: object) -> tuple[str, ...]:
    what = f"some of {', '.join(_X_FIELDS)}; or {_FORWARDED} alone; or none"
    names = tuple(name.lower() for name in _read_list(value, what))
    if not set(names) <= {*_X_FIELDS, _FORWARDED}:
        raise UnreadableError(what)
    if _FORWARDED in names and len(names) > 1:
        raise UnreadableError(
            what, hint="a proxy that sets one of the two forms passes the other on, as whatever its client has sent"
        )
    return names


def _read_list(value: object, what: str) -> tuple[str, ...]:
    """Names, in a text with commas between them; `none` is no name."""
    names = value.replace(",", " ") if isinstance(value, str) else value
    return () if names in ("", "none") else _read_texts(names, what)


def _read_root_path(value: object) -> str:
    if not isinstance(value, str):
        raise UnreadableError(_ROOT_PATH)
    path = value.rstrip("/")
    parts = path.split("/")
    if path and (not path.startswith("/") or not path.isprintable() or set("?#%") & set(path)):
        raise UnreadableError(_ROOT_PATH)
    if {"", ".", ".."} & set(parts[1:]):
        raise UnreadableError(_ROOT_PATH)
    return path


def _read_probe_path(value: object) -> str | None:
    if value in ("", "none"):
        return None
    if not isinstance(value, str) or _PROBE_PATH.fullmatch(value) is None:
        raise UnreadableError("a path such as /livez, without ?, # and %")
    return value


def _read_address(value: object) -> str | None:
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


def _read_headers(value: object) -> tuple[str, ...]:
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


def _read_application(value: object) -> object:
    if isinstance(value, str) and value.strip():
        wrong = import_string_hint(value)
        if wrong is not None:
            raise UnreadableError("an import string such as main:app", hint=wrong)
    elif isinstance(value, str) or not callable(value):
        raise UnreadableError("an application: give module:attribute, or an ASGI or WSGI callable")
    return value


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


SHARE = Kind(_read_share, lambda share: f"{100 * share:.4g}%", metavar="PERCENT", keyword="float | str")
"""A part of a whole, as a float from 0 to 1; the empty text is None. In text it is percent."""

SECRET = Kind(_read_text, secret=True)
"""A text; the empty one is None."""

TEXT = Kind(_read_text)
"""A text; the empty one is None."""

PATH = Kind(_read_path, metavar="PATH", is_path=True)
FOLDER = Kind(_read_path, metavar="FOLDER", is_path=True)
"""Paths, kept as text; the empty one is None."""

FILES = Kind(_read_files, "\n".join, metavar="PATH", repeatable=True, is_path=True)
"""Paths of files; in a text, one a line."""

VERIFY = Kind(
    _read_verify,
    metavar="auto|none|optional|required",
    keyword='Literal["auto", "none", "optional", "required"]',
)
"""Whether a client must have a certificate."""

TLS_VERSION = Kind(_read_tls_version, metavar="1.2|1.3", keyword='Literal["1.2", "1.3"]')
"""A version of TLS."""

STANDARD_OUTPUT = "-"
LOG_FILE = Kind(_read_path, metavar="PATH", is_path=True)
"""The path of a file to append to; `-` is standard output."""
PATHS = Kind(_read_paths, " ".join, metavar="PATH", repeatable=True, is_path=True)
"""Paths, of files that add to one another."""

HOST = Kind(_read_host, metavar="HOST")
"""Where to listen, without the port; the empty text is None."""

PORT = Kind(_read_port, metavar="PORT")
"""A TCP port; the empty text is None."""

ACCOUNT = Kind(_read_account, metavar="NAME")
"""A user or a group of the system, by name or number, as text; the empty text is None."""
FOLDERS = Kind(
    _read_folders,
    " ".join,
    metavar="FOLDER",
    repeatable=True,
    is_path=True,
)
"""Several paths; one text is split at white space."""

PATTERNS = Kind(
    lambda value: _read_texts(value, "a pattern such as *.html, or a list of them"),
    " ".join,
    metavar="PATTERN",
    repeatable=True,
)
"""Patterns for the names of files (fnmatch)."""

PIDFILE = Kind(_read_pidfile, metavar="PATH", is_path=True)
"""The path of a pidfile. A mere number is refused."""

MODE = Kind(_read_mode, "{:03o}".format, metavar="OCTAL", keyword="int | str")
"""Permission bits of a file (chmod(2)). Text is octal, as for chmod(1); the empty text is None."""

TARGETS = Kind(_read_targets, " ".join, metavar="/PATH", repeatable=True)
"""Targets of requests in origin-form (RFC 9112 section 3.2.1)."""

BINDS = Kind(_read_binds, " ".join, metavar="ADDRESS", repeatable=True)
"""The texts of addresses; `parse_bind` reads each."""

METRICS = Kind(_read_metrics_address, metavar="ADDRESS")
"""One address of TCP or a Unix socket, as text that `parse_address` reads; the empty text is None."""

PEERS = Kind(_read_peers, ",".join, metavar="ADDRESSES", keyword=_LISTED)
"""Which peers are trusted, as `net.trusted_peers` takes them."""

FORWARDED_FIELDS = Kind(_read_forwarded_fields, ",".join, metavar="NAMES", keyword=_LISTED)
"""Names of the fields of proxies that are believed, in lower case: see `http.forwarded`."""

PROBE_PATH = Kind(_read_probe_path, metavar="/PATH")
"""A path of health checks; the empty text and `none` are None."""

ADDRESS = Kind(_read_address, metavar="ADDRESS")
"""Where something of ours listens, as `net.address` writes it; the empty text and `none` are None."""

ROOT_PATH = Kind(_read_root_path, lambda path: path or "none", metavar="/PATH")
"""A path, decoded, without a slash at its end; empty is none."""

HEADERS = Kind(_read_headers, "\n".join, metavar="NAME:VALUE", repeatable=True)
"""Lines of header fields (RFC 9110 section 5.5)."""


def _read_function(value: object) -> object:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        if not all(value.partition(":")):
            raise UnreadableError("an import string such as main:startup")
    elif not callable(value):
        raise UnreadableError("a function without parameters, or its import string such as main:startup")
    return value


FUNCTION = Kind(_read_function, lambda one: one if isinstance(one, str) else repr(one), metavar="FUNCTION")
"""An import string, or a function from Python; the empty text is None."""

REFERENCE = Kind(_read_application, lambda app: app if isinstance(app, str) else repr(app), metavar="APP")
"""An import string (`module:attribute`), or an application object from Python."""
