"""The types of options: how a value is read from text or from Python, and how it is shown.

An option has a `Kind`. Each function below makes one: `count(minimum=1)`, `duration()`, `one_of("asgi", "wsgi")`.
Those behind them are for values that have a form of their own, which `readers` reads. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeGuard

from gracehttp.config import readers
from gracehttp.config.readers import UnreadableError
from gracehttp.config.units import format_duration, format_size, parse_duration, parse_size
from gracehttp.values import EMPTY, Value

_YEAR_SECONDS = 366 * 86400.0
_YES = ("true", "yes", "on", "1")
_NO = ("false", "no", "off", "0")
_DURATION = "a duration such as 500ms, 30s, 1m30s or 2h"
_SIZE = "a size such as 512, 64k or 10M"
_LISTED = "str | list[str] | tuple[str, ...]"


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
        if not readers.is_integer(value) or not minimum <= value <= maximum:
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
        if value == 0 and readers.is_integer(value) and zero_means:
            return 0
        if not readers.is_integer(value) or not minimum <= value < 1 << 62:
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
            raise UnreadableError(f"one of {', '.join(words)}", hint=hints.get(word) or _switch_hint(words, value))
        return word

    return Kind(parse, metavar="|".join(words), keyword=f"Literal[{', '.join(map(_quoted, words))}]")


def _switch_hint(words: Collection[str], value: object) -> str:
    """What to write in place of yes or no, where on and off are among `words`."""
    word = str(value).strip().lower() if isinstance(value, (bool, str)) else ""
    if not {"on", "off"} <= set(words) or word not in _YES + _NO:
        return ""
    quoted = f'"{"on" if word in _YES else "off"}"'
    return f"write {quoted}"


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


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


SHARE = Kind(readers.read_share, lambda share: f"{100 * share:.4g}%", metavar="PERCENT", keyword="float | str")
"""A part of a whole, as a float from 0 to 1; the empty text is None. In text it is percent."""

SECRET = Kind(readers.read_text, secret=True)
"""A text; the empty one is None."""

TEXT = Kind(readers.read_text)
"""A text; the empty one is None."""

PATH = Kind(readers.read_path, metavar="PATH", is_path=True)
FOLDER = Kind(readers.read_path, metavar="FOLDER", is_path=True)
"""Paths, kept as text; the empty one is None."""

FILES = Kind(readers.read_files, "\n".join, metavar="PATH", repeatable=True, is_path=True)
"""Paths of files; in a text, one a line."""

VERIFY = Kind(
    readers.read_verify,
    metavar="auto|none|optional|required",
    keyword='Literal["auto", "none", "optional", "required"]',
)
"""Whether a client must have a certificate."""

TLS_VERSION = Kind(readers.read_tls_version, metavar="1.2|1.3", keyword='Literal["1.2", "1.3"]')
"""A version of TLS."""

STANDARD_OUTPUT = "-"
LOG_FILE = Kind(readers.read_path, metavar="PATH", is_path=True)
"""The path of a file to append to; `-` is standard output."""
PATHS = Kind(readers.read_paths, " ".join, metavar="PATH", repeatable=True, is_path=True)
"""Paths, of files that add to one another."""

HOST = Kind(readers.read_host, metavar="HOST")
"""Where to listen, without the port; the empty text is None."""

PORT = Kind(readers.read_port, metavar="PORT")
"""A TCP port; the empty text is None."""

ACCOUNT = Kind(readers.read_account, metavar="NAME")
"""A user or a group of the system, by name or number, as text; the empty text is None."""
FOLDERS = Kind(
    readers.read_folders,
    " ".join,
    metavar="FOLDER",
    repeatable=True,
    is_path=True,
)
"""Several paths; one text is split at white space."""

PATTERNS = Kind(
    lambda value: readers.read_texts(value, "a pattern such as *.html, or a list of them"),
    " ".join,
    metavar="PATTERN",
    repeatable=True,
)
"""Patterns for the names of files (fnmatch)."""

PIDFILE = Kind(readers.read_pidfile, metavar="PATH", is_path=True)
"""The path of a pidfile. A mere number is refused."""

MODE = Kind(readers.read_mode, "{:03o}".format, metavar="OCTAL", keyword="int | str")
"""Permission bits of a file (chmod(2)). Text is octal, as for chmod(1); the empty text is None."""

TARGETS = Kind(readers.read_targets, " ".join, metavar="/PATH", repeatable=True)
"""Targets of requests in origin-form (RFC 9112 section 3.2.1)."""

BINDS = Kind(readers.read_binds, " ".join, metavar="ADDRESS", repeatable=True)
"""The texts of addresses; `parse_bind` reads each."""

METRICS = Kind(readers.read_metrics_address, metavar="ADDRESS")
"""One address of TCP or a Unix socket, as text that `parse_address` reads; the empty text is None."""

PEERS = Kind(readers.read_peers, ",".join, metavar="ADDRESSES", keyword=_LISTED)
"""Which peers are trusted, as `net.trusted_peers` takes them."""

FORWARDED_FIELDS = Kind(readers.read_forwarded_fields, ",".join, metavar="NAMES", keyword=_LISTED)
"""Names of the fields of proxies that are believed, in lower case: see `http.forwarded`."""

PROBE_PATH = Kind(readers.read_probe_path, metavar="/PATH")
"""A path of health checks; the empty text and `none` are None."""

ADDRESS = Kind(readers.read_address, metavar="ADDRESS")
"""Where something of ours listens, as `net.address` writes it; the empty text and `none` are None."""

ROOT_PATH = Kind(readers.read_root_path, lambda path: path or "none", metavar="/PATH")
"""A path, decoded, without a slash at its end; empty is none."""

HEADERS = Kind(readers.read_headers, "\n".join, metavar="NAME:VALUE", repeatable=True)
"""Lines of header fields (RFC 9110 section 5.5)."""


FUNCTION = Kind(readers.read_function, lambda one: one if isinstance(one, str) else repr(one), metavar="FUNCTION")
"""An import string, or a function from Python; the empty text is None."""

REFERENCE = Kind(readers.read_application, lambda app: app if isinstance(app, str) else repr(app), metavar="APP")
"""An import string (`module:attribute`), or an application object from Python."""
