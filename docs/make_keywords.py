"""Writes the types of keyword arguments from the options in the code: `python docs/make_keywords.py`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path

from gracehttp.config import OPTIONS, Option
from gracehttp.config.model import EMBEDDED_OPTIONS, PROCESS_OPTIONS, SERVER_OPTIONS

MODULE = Path(__file__).parent.parent / "src" / "gracehttp" / "config" / "keywords.py"

HEAD = '''\
"""The keyword arguments of the programming interface, as type checkers and editors know them.

`docs/make_keywords.py` makes this module of the options in `config.model`. It is for type checkers alone: nothing
imports it when a program runs.
"""

from __future__ import annotations

import os
from typing import Literal, TypedDict
'''


def module() -> str:
    """The text of the whole module."""
    of_a_server = [one for name, one in SERVER_OPTIONS.items() if name not in {"app", "bind"}]
    embedded = [OPTIONS[name] for name in EMBEDDED_OPTIONS]
    classes = [
        _class("ProgramKeywords", "TypedDict", "The options of the whole program.", PROCESS_OPTIONS.values()),
        _class("ServerKeywords", "TypedDict", "The options of a server.", of_a_server),
        _class("RunKeywords", "ProgramKeywords, ServerKeywords", "The options of both: of `gracehttp.run`.", ()),
        _class("EmbeddedKeywords", "ServerKeywords", "The options of `serving` and `running`.", embedded),
    ]
    return "\n\n".join([HEAD, *classes])


def _class(name: str, bases: str, told: str, options: Iterable[Option]) -> str:
    fields = [_field(option) for option in options]
    return "\n".join([f"class {name}({bases}, total=False):", f'    """{told}"""', "", *fields]).rstrip() + "\n"


def _field(option: Option) -> str:
    told = f"{option.help} Default: {option.show_default()}."
    lines = textwrap.wrap(told, 109, break_long_words=False, break_on_hyphens=False)
    docstring = textwrap.indent('"""' + "\n".join(lines) + ('\n"""' if len(lines) > 1 else '"""'), "    ")
    return f"    {option.name}: {_annotation(option)} | None\n{docstring}\n"


def _annotation(option: Option) -> str:
    kind = option.kind
    if kind.keyword != "str":
        return kind.keyword
    one = "str | os.PathLike[str]" if kind.is_path else "str"
    if not kind.repeatable:
        return one
    return f"{one} | list[{one}] | tuple[{one}, ...]" if kind.is_path else "str | list[str] | tuple[str, ...]"


if __name__ == "__main__":
    MODULE.write_text(module(), encoding="utf-8")
