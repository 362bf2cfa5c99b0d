"""A plan as a file of options and as a command line. Pure."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Iterator, Sequence

from gracehttp.cli.migrating.plan import Plan
from gracehttp.config import OPTIONS

_WIDTH = 100
_SPECIAL = frozenset(" \t\r\n#'\"\\")
_FIELDS = {
    "generation_promoted": ("generation",),
    "worker_forked": ("generation", "worker", "pid"),
    "worker_serving": ("generation", "worker", "pid"),
    "worker_ending": ("generation", "worker", "pid"),
    "worker_exited": ("generation", "worker", "pid", "how"),
}
"""What the events know that hooks of other servers become."""


def as_toml(plan: Plan, source: str) -> str:
    """The file, with what else there is to say as comments. It is valid as it stands, also without an application."""
    lines = [f"# {line}" for line in textwrap.wrap(f"The same as: {source}", _WIDTH)]
    lines += ["", f"app = {_literal(plan.app)}" if plan.app else '# app = "main:app"', *_keys(plan)]
    if not plan.options.keys() & {"pidfile", "control", "no_control"}:
        lines += ["", "# With a pidfile, gracehttp restart -c, stop -c and status -c find the service by this file:"]
        lines += ['# pidfile = "gracehttp.pid"']
    lines += [""]
    lines += ["# As a command:", f"#   {as_command(plan)}"]
    if plan.remarks:
        lines += ["", "# What is different, or has no equivalent:"]
        for shown, note in plan.remarks:
            lines += _comment(f"{shown}: {note}")
    if plan.defaults:
        lines += ["", "# Where defaults and signals differ:"]
        for note in plan.defaults:
            lines += _comment(note)
    if plan.environment:
        lines += ["", "# Variables of the service, which each restart reads anew. In the file, above:"]
        lines += ['#   env_file = "service.env"', "# service.env:"]
        lines += [f"#   {_variable(text)}" for text in plan.environment]
    if plan.hooks:
        lines += _hooks(plan.hooks)
    return "\n".join(lines)


def _variable(text: str) -> str:
    """NAME=VALUE as a line of an env_file, with a value that isn't plain in quotes."""
    name, separator, value = text.partition("=")
    if not set(value) & _SPECIAL:
        return text
    for character, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        value = value.replace(character, escaped)
    return f'{name}{separator}"{value}"'


def _hooks(hooks: Sequence[tuple[str, str]]) -> list[str]:
    """A table of hooks and the module of their functions, which have one parameter here: as comments, because the
    functions must be written first."""
    by_event: dict[str, list[str]] = {}
    for event, name in hooks:
        by_event.setdefault(event, []).append(f"my_hooks:{name}")
    lines = [
        "",
        "# Hooks have other parameters here: one, the event. At the end of the file, with my_hooks.py beside it:",
    ]
    lines += ["#   [hooks]"]
    lines += [f"#   {event} = {_literal(names if len(names) > 1 else names[0])}" for event, names in by_event.items()]
    lines += ["# my_hooks.py:"]
    for event, name in hooks:
        fields = ", ".join(f"event.{one}" for one in _FIELDS[event])
        lines += [f"#   def {name}(event):  # {fields}", "#       ..."]
    return lines


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
