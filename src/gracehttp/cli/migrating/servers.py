"""The servers that gracehttp knows the options of, and which of their options are none of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gracehttp.cli.migrating import granian, gunicorn, hypercorn, uvicorn
from gracehttp.cli.migrating.plan import Plan, Rule
from gracehttp.config.model import ALIASES, OPTIONS
from gracehttp.values import Value


class Server(Value):
    """`finish` says what there is to say of defaults."""

    name: str
    rules: tuple[Rule, ...]
    finish: Callable[[Plan], None]


SERVERS = {
    "gunicorn": Server("gunicorn", gunicorn.RULES, gunicorn.finish),
    "uvicorn": Server("uvicorn", uvicorn.RULES, uvicorn.finish),
    "granian": Server("granian", granian.RULES, granian.finish),
    "hypercorn": Server("hypercorn", hypercorn.RULES, hypercorn.finish),
}
"""In the order in which a name is looked for."""


def foreign_rules() -> Mapping[str, tuple[Server, Rule]]:
    """The names of options that other servers have and gracehttp doesn't, each with its server and its rule.

    A name is one in a file, or a flag. A flag of one letter (`-t`) has no other name. If several servers have the name,
    the first one counts whose rule says what to write here.
    """
    found: dict[str, tuple[Server, Rule]] = {}
    ours = {*OPTIONS, *ALIASES, *(option.short for option in OPTIONS.values()), "config", "-c"}
    for server in SERVERS.values():
        for rule in server.rules:
            for name in (rule.name, *map(_as_name, rule.flags)):
                known = found.get(name)
                if name not in ours and (known is None or (_says_what(rule) and not _says_what(known[1]))):
                    found[name] = (server, rule)
    return dict(sorted(found.items()))


def _as_name(flag: str) -> str:
    return flag[2:].replace("-", "_") if flag.startswith("--") else flag


def _says_what(rule: Rule) -> bool:
    return bool(rule.option or rule.write)
