"""A plan as a file of options and as a command line. Pure."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Iterator

from gracehttp.cli.migrating.plan import Plan
from gracehttp.config import OPTIONS

_WIDTH = 100


def as_toml(plan: Plan, source: str) -> str:
    """The file, with what else there is to say as comments. It is valid as it stands, also without an application."""
    lines = [f"# {line}" for line in textwrap.wrap(f"The same as: {source}", _WIDTH)]
    lines += ["", f"app = {_literal(plan.app)}" if plan.app else '# app = "main:app"', *_keys(plan), ""]
    lines += ["# As a command:", f"#   {as_command(plan)}"]
    if plan.remarks:
        lines += ["", "# What is different, or has no equivalent:"]
        for shown, note in plan.remarks:
            lines += _comment(f"{shown}: {note}")
    if plan.defaults:
        lines += ["", "# Where defaults and signals differ:"]
        for note in plan.defaults:
            lines += _comment(note)
    return "\n".join(lines)


def as_command(plan: Plan) -> str:
    """`gracehttp serve` with the same options."""
    words = ["gracehttp", "serve", plan.app or "APP"]
    for name, value in _in_order(plan):
        option = OPTIONS[name]
        if option.kind.is_flag:
            words.append(option.flag if value else f"--no-{option.flag.removeprefix('--')}")
            continue
        for one in value if isinstance(value, list) else [value]:
            words += [option.flag, str(one)]
    return shlex.join(words)


def _keys(plan: Plan) -> Iterator[str]:
    for name, value in _in_order(plan):
        yield f"{name} = {_literal(value)}"


def _in_order(plan: Plan) -> Iterator[tuple[str, object]]:
    """The options in the order of the reference."""
    for name in OPTIONS:
        if name in plan.options and name != "app":
            yield name, plan.options[name]


def _literal(value: object) -> str:
    """A value of TOML. Strings of JSON are such, except for DEL."""
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return (
        json.dumps(value, ensure_ascii=False) if isinstance(value, (str, bool, int, float)) else json.dumps(str(value))
    )


def _comment(text: str) -> list[str]:
    text = " ".join(text.split())
    return textwrap.wrap(text, _WIDTH, initial_indent="# - ", subsequent_indent="#   ", break_on_hyphens=False)
