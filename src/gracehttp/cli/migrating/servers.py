"""The servers that gracehttp knows the options of, and whose option a flag is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gracehttp.cli.migrating import granian, gunicorn, hypercorn, uvicorn
from gracehttp.cli.migrating.plan import Plan, Rule
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
"""In the order in which a flag is looked for."""


def rules_of(flag: str) -> Iterator[tuple[Server, Rule]]:
    """Each server that has `flag`, with its rule."""
    for server in SERVERS.values():
        for rule in server.rules:
            if flag in rule.flags:
                yield server, rule
                break


def hint_for(flag: str) -> str | None:
    """What to write instead of `flag`, if another server has it; None if none has."""
    found = list(rules_of(flag))
    if not found:
        return None
    server, rule = next(((one, rule) for one, rule in found if rule.option or rule.write), found[0])
    return f"{flag} is an option of {server.name}; here: {rule.hint}"
