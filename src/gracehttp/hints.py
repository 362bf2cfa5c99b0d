"""How a hint at what to try names options. Pure.

A hint has three kinds of readers. At the command line an option is `--app-dir`, in a script it is `app_dir=`, and in a
file of options `app_dir`. So a hint is made of a sentence and options, and knows all spellings; the place that prints
it chooses.
"""

from __future__ import annotations

from typing import TypeVar

from gracehttp.errors import GraceHTTPError
from gracehttp.values import Value

_Error = TypeVar("_Error", bound=GraceHTTPError)


class Named(Value):
    """An option as a hint names it: alone, or with the value to give it. The value of a flag is a boolean."""

    name: str
    value: object = None

    @property
    def flag(self) -> str:
        """As on the command line: `--app-dir`, `--interface asgi`, `--factory`, `--no-date-header`."""
        flag = ("--no-" if self.value is False else "--") + self.name.replace("_", "-")
        return flag if self.value is None or isinstance(self.value, bool) else f"{flag} {self.value}"

    @property
    def keyword(self) -> str:
        """As in a script: `app_dir=`, `interface="asgi"`, `factory=True`."""
        value = f'"{self.value}"' if isinstance(self.value, str) else self.value
        return f"{self.name}={'' if value is None else value}"

    @property
    def key(self) -> str:
        """As in a file of options: `app_dir`, `interface = "asgi"`, `factory = true`."""
        if self.value is None:
            return self.name
        value = str(self.value).lower() if isinstance(self.value, bool) else self.value
        return f'{self.name} = "{value}"' if isinstance(self.value, str) else f"{self.name} = {value}"


class Hint(str):
    """A hint, spelled for the command line. `in_python` is the same hint for a script, `in_file` for a file of
    options."""

    __slots__ = ("in_file", "in_python")

    in_python: str
    in_file: str


def hint(sentence: str, *parts: Named | str) -> Hint:
    """The hint `sentence`, with `parts` in place of each `{}`: options, other hints or mere text."""
    spelled = Hint(sentence.format(*[one.flag if isinstance(one, Named) else one for one in parts]))
    spelled.in_python = sentence.format(*[one.keyword if isinstance(one, Named) else in_python(one) for one in parts])
    spelled.in_file = sentence.format(*[one.key if isinstance(one, Named) else in_file(one) for one in parts])
    return spelled


def in_python(text: str) -> str:
    """The hint `text` as a script writes its options."""
    return text.in_python if isinstance(text, Hint) else text


def in_file(text: str) -> str:
    """The hint `text` as a file writes its options."""
    return text.in_file if isinstance(text, Hint) else text


def for_a_script(error: _Error) -> _Error:
    """`error`, with its hint spelled for the author of a script."""
    error.hint = in_python(error.hint)
    return error
