"""The kinds of value that an option may have: how each is read from text or from Python, and how it is shown.

A kind's `read` takes what any source gives (text of the command line, an integer of a TOML file, a keyword
argument) and returns the one form that the program uses, or raises `UnreadableError`. Pure.
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

from gracehttp.config.import_string import misspelling
from gracehttp.config.units import format_duration, format_size, parse_duration, parse_size
from gracehttp.values import Value

_YEAR_SECONDS = 366 * 86400.0
_YES = ("true", "yes", "on", "1")
_NO = ("false", "no", "off", "0")


class UnreadableError(ValueError):
    """A value is not of its kind. The argument says what it should be: "a whole number from 1 to 9"."""

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


class Kind(Value, ABC):
    """The common form.

    `metavar` stands for the value in help; `many` marks an option that can be given again; `secret` hides its value.
    """

    metavar: str
    many: bool = False
    secret: bool = False

    @abstractmethod
    def read(self, value: object) -> object:
        """`value` in the form that the program uses. Raises `UnreadableError`."""

    def show(self, value: object) -> str:
        """What `read` returned, as a person would write it."""
        return str(value)

    def anchor(self, value: object, folder: Path) -> object:
        """What `read` returned, with relative paths taken from `folder`."""
        del folder
        return value


class Count(Kind):
    """A whole number from `minimum` to `maximum`. With `may_be_none`, the empty text is none."""

    metavar: str = "N"
    minimum: int = 0
    maximum: int = 1 << 31
    may_be_none: bool = False

    def read(self, value: object) -> int | None:
        number: int | None = None
        if value == "" and self.may_be_none:
            return None
        if isinstance(value, str) and value.strip().replace("_", "").isdecimal():
            number = int(value.strip().replace("_", ""))
        elif isinstance(value, int) and not isinstance(value, bool):
            number = value
        if number is None or not self.minimum <= number <= self.maximum:
            raise UnreadableError(f"a whole number from {self.minimum} to {self.maximum}")
        return number

    def show(self, value: object) -> str:
        return "none" if value is None else str(value)


class Duration(Kind):
    """Seconds as a float, above zero; zero itself only where it has a meaning (`may_be_zero`)."""

    metavar: str = "DURATION"
    may_be_zero: bool = False

    def read(self, value: object) -> float:
        seconds = -1.0
        if isinstance(value, str):
            try:
                seconds = parse_duration(value)
            except ValueError:
                raise UnreadableError("a duration such as 500ms, 30s, 1m30s or 2h") from None
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            seconds = float(value)
        if not 0 <= seconds <= _YEAR_SECONDS or (seconds == 0 and not self.may_be_zero):
            lowest = "0s" if self.may_be_zero else "above 0s"
            raise UnreadableError(f"a duration such as 500ms, 30s, 1m30s or 2h, {lowest} to a year")
        return seconds

    def show(self, value: object) -> str:
        return format_duration(float(str(value)))


class Share(Kind):
    """A part of a whole, as a float from 0 to 1; the empty text is none. In text it is percent."""

    metavar: str = "PERCENT"

    def read(self, value: object) -> float | None:
        share = -1.0
        if value is None or value == "":
            return None
        if isinstance(value, str) and value.endswith("%"):
            with contextlib.suppress(ValueError):
                share = float(value.removesuffix("%")) / 100
        elif isinstance(value, float):
            share = value
        if not 0 <= share <= 1:
            raise UnreadableError("a share from 0% to 100%, such as 5% or 0.5%")
        return share

    def show(self, value: object) -> str:
        return "none" if value is None else f"{100 * float(str(value)):.4g}%"


class Size(Kind):
    """Bytes. With `zero_means`, 0 is allowed and means that."""

    metavar: str = "SIZE"
    minimum: int = 0
    zero_means: str = ""

    def read(self, value: object) -> int:
        size = -1
        if isinstance(value, str):
            try:
                size = parse_size(value)
            except ValueError:
                raise UnreadableError("a size such as 512, 64k or 10M") from None
        elif isinstance(value, int) and not isinstance(value, bool):
            size = value
        if size == 0 and self.zero_means:
            return 0
        if not max(self.minimum, 0) <= size < 1 << 62:
            raise UnreadableError(f"a size such as 512, 64k or 10M, at least {format_size(self.minimum)}")
        return size

    def show(self, value: object) -> str:
        size = int(str(value))
        return f"0 ({self.zero_means})" if size == 0 and self.zero_means else format_size(size)


class Choice(Kind):
    """One of a few words."""

    words: tuple[str, ...] = ()

    def read(self, value: object) -> str:
        if isinstance(value, str) and value.lower() in self.words:
            return value.lower()
        raise UnreadableError(f"one of {', '.join(self.words)}")


def choice(*words: str) -> Choice:
    """One of `words`, which are in lower case."""
    return Choice(metavar="|".join(words), words=words)


class Flag(Kind):
    """Yes or no. `negatable` offers `--no-NAME` beside `--NAME`."""

    metavar: str = "BOOL"
    negatable: bool = True

    def read(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().lower() in _YES + _NO:
            return value.strip().lower() in _YES
        raise UnreadableError("true or false")

    def show(self, value: object) -> str:
        return "true" if value else "false"


class Text(Kind):
    """Any text; the empty one means none."""

    metavar: str = "TEXT"

    def read(self, value: object) -> str | None:
        if not isinstance(value, str):
            raise UnreadableError("text")
        return value or None

    def show(self, value: object) -> str:
        if value is None:
            return "none"
        return "(hidden)" if self.secret else str(value)


class PathName(Kind):
    """A path, kept as text; the empty one means none."""

    metavar: str = "PATH"

    def read(self, value: object) -> str | None:
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, str) or "\0" in value:
            raise UnreadableError("a path")
        return value or None

    def show(self, value: object) -> str:
        return "none" if value is None else str(value)

    def anchor(self, value: object, folder: Path) -> object:
        # normpath instead of resolve: symlinks must be followed anew at each restart.
        return value if value is None else os.path.normpath(folder / str(value))


class PidFileName(PathName):
    """The path of a pidfile. A mere number is refused: in many programs `-p` is the port."""

    def read(self, value: object) -> str | None:
        path = super().read(value)
        if path is not None and path.isdecimal():
            raise UnreadableError(
                "the path of a file", hint=f"-p is the pidfile; the port is --bind :{path}, and a file ./{path}"
            )
        return path


class Mode(Kind):
    """Permission bits of a file (chmod(2)). Text is octal, as for chmod(1)."""

    metavar: str = "OCTAL"

    def read(self, value: object) -> int | None:
        mode = -1
        if isinstance(value, str):
            if not value:
                return None
            bare = value.lower().removeprefix("0o")
            mode = int(bare, 8) if bare and set(bare) <= set("01234567") else -1
        elif isinstance(value, int) and not isinstance(value, bool):
            mode = value
        if not 0 <= mode <= 0o777:
            raise UnreadableError('permission bits: write them in octal, as "660" or 0o660')
        return mode

    def show(self, value: object) -> str:
        return "none" if value is None else format(int(str(value)), "03o")


class Texts(Kind):
    """Several texts. One text is split at white space, so that an environment variable can hold several."""

    many: bool = True
    what: str = "text, or a list of texts"

    def read(self, value: object) -> tuple[str, ...]:
        items: Iterable[object] = ()
        if isinstance(value, str):
            items = value.split()
        elif isinstance(value, (list, tuple)):
            items = value
        else:
            raise UnreadableError(self.what)
        texts = tuple(text for item in items if isinstance(item, str) and self.accepts(text := self.clean(item)))
        if len(texts) != len(tuple(items)):
            raise UnreadableError(self.what)
        return texts

    def clean(self, item: str) -> str:
        """`item` without what surely isn't meant."""
        return item

    def accepts(self, item: str) -> bool:
        """Whether `item` may be one of them."""
        return bool(item)

    def show(self, value: object) -> str:
        return " ".join(value) or "none" if isinstance(value, tuple) else str(value)


class RequestTargets(Texts):
    """Targets of requests in origin-form (RFC 9112 section 3.2.1)."""

    metavar: str = "/PATH"
    what: str = "a path that begins with /, or a list of such paths"

    def accepts(self, item: str) -> bool:
        return item.startswith("/") and item.isascii() and item.isprintable() and " " not in item


class Binds(Texts):
    """The texts of addresses; `gracehttp.address.parse_bind` reads each."""

    metavar: str = "ADDRESS"
    what: str = "an address, or a list of addresses"

    def read(self, value: object) -> tuple[str, ...]:
        if isinstance(value, int) and not isinstance(value, bool):
            hint = f'write "127.0.0.1:{value}" for this machine only, or ":{value}" for all of its addresses'
            raise UnreadableError(self.what, hint=hint)
        return super().read(value)

    def clean(self, item: str) -> str:
        return item.strip()


class ApplicationReference(Kind):
    """An import string (`module:attribute`), or an application object from Python."""

    metavar: str = "APP"

    def read(self, value: object) -> object:
        if isinstance(value, str) and value.strip():
            hint = misspelling(value)
            if hint is not None:
                raise UnreadableError("an import string such as main:app", hint=hint)
            return value
        if callable(value):
            return value
        raise UnreadableError("an application: give module:attribute, or an ASGI or WSGI callable")

    def show(self, value: object) -> str:
        return value if isinstance(value, str) else repr(value)
