"""Hints at what to try: how they name options, and what was probably meant by a mistake. Pure.

A hint has two kinds of readers. At the command line an option is `--app-dir`, in a script it is `app_dir=`. So a hint
is made of a sentence and options, and knows both spellings; the place that prints it chooses.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from gracehttp.errors import GraceHTTPError
from gracehttp.values import Value

_Error = TypeVar("_Error", bound=GraceHTTPError)


class Named(Value):
    """An option as a hint names it: alone, or with the value to give it. The value of a flag is True."""

    name: str
    value: object = None

    @property
    def flag(self) -> str:
        """As on the command line: `--app-dir`, `--interface asgi`, `--factory`."""
        flag = "--" + self.name.replace("_", "-")
        return flag if self.value is None or self.value is True else f"{flag} {self.value}"

    @property
    def keyword(self) -> str:
        """As in a script: `app_dir=`, `interface="asgi"`, `factory=True`."""
        value = f'"{self.value}"' if isinstance(self.value, str) else self.value
        return f"{self.name}={'' if value is None else value}"


class Hint(str):
    """A hint, spelled for the command line. `in_python` is the same hint for a script."""

    __slots__ = ("in_python",)

    in_python: str


def hint(sentence: str, *parts: Named | str) -> Hint:
    """The hint `sentence`, with `parts` in place of each `{}`: options, other hints or mere text."""
    spelled = Hint(sentence.format(*[one.flag if isinstance(one, Named) else one for one in parts]))
    spelled.in_python = sentence.format(*[one.keyword if isinstance(one, Named) else in_python(one) for one in parts])
    return spelled


def in_python(text: str) -> str:
    """The hint `text` as a script writes its options."""
    return text.in_python if isinstance(text, Hint) else text


def for_a_script(error: _Error) -> _Error:
    """`error`, with its hint spelled for the author of a script."""
    error.hint = in_python(error.hint)
    return error


def import_string_hint(text: str) -> str | None:
    """A hint if `text` can't be an import string, else None.

    An import string is `module:attribute`, with dots in either part, or `module` alone.
    """
    module_name, separator, attribute = text.partition(":")
    wanted = (attribute or "app").removesuffix("()")
    if module_name.endswith(".py") or "/" in module_name or "\\" in module_name:
        module = module_name.removesuffix(".py").replace("\\", "/").strip("./").replace("/", ".")
        return f"name the module, not its file: did you mean {module}:{wanted}?"
    if attribute.endswith("()"):
        called = f"{module_name}:{wanted}"
        return hint("name the attribute, without a call: did you mean {} {}?", Named("factory", True), called)
    parts = [*module_name.split("."), *(attribute.split(".") if separator else [])]
    if not all(part.isidentifier() for part in parts):
        return "write it as module:attribute, for example main:app"
    return None


def nearest_name(name: str, known: Collection[str]) -> str | None:
    """The one of `known` that has the words of `name` in another order, else the one that is spelled most alike."""
    import difflib  # read only where something is wrong

    words = sorted(name.split("_"))
    same = [one for one in known if sorted(one.split("_")) == words]
    alike = same or difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return alike[0] if alike else None


def mistyped_variables(environ: Mapping[str, str], prefix: str, known: Collection[str]) -> list[tuple[str, str]]:
    """Variables with `prefix` that are none of `known` but look like one, each with the one that was probably meant."""
    unknown = [name for name in environ if name.startswith(prefix) and name not in known]
    if not unknown:
        return []
    import difflib  # read only where something may be wrong

    matches = [(name, difflib.get_close_matches(name, known, n=1, cutoff=0.9)) for name in sorted(unknown)]
    return [(name, match[0]) for name, match in matches if match]
