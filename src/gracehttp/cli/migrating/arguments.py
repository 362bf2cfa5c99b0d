"""Reading the command line of another server by its rules. Pure."""

from __future__ import annotations

import os
from collections.abc import Sequence

from gracehttp.cli.migrating.plan import Plan, Rule, Takes
from gracehttp.cli.migrating.servers import SERVERS, Server
from gracehttp.errors import ConfigurationError
from gracehttp.values import Value

_CONFIG_FLAGS = ("-c", "--config")
_EXAMPLES = "gracehttp migrate -- uvicorn main:app --port 80; or gracehttp migrate gunicorn.conf.py"
_OTHERS = {
    "fastapi": "fastapi dev is gracehttp serve main:app --reload here, and fastapi run --host 0.0.0.0 instead",
    "flask": "flask run --debug is gracehttp serve app:app --port 5000 --reload here",
    "quart": "quart run is gracehttp serve app:app --port 5000 here",
    "litestar": "litestar run is gracehttp serve app:app here; --port and --reload are the same",
    "manage.py": "runserver is gracehttp serve mysite.wsgi:application --reload; static files: docs/frameworks.md",
    "daphne": "gracehttp serve mysite.asgi:application does the same; -b and -p are --host and --port",
    "waitress-serve": "gracehttp serve main:app does the same; --listen is --bind",
    "uwsgi": "gracehttp serve main:app --workers 4 --threads 8 is what a wsgi-file with processes and threads does",
}
"""Programs whose options aren't read, for they have few: what to write instead."""


class CommandLine(Value):
    """`config` is the file of options that the command names, "" if it names none."""

    server: Server
    app: str
    values: dict[str, object]
    config: str


def read_command(words: Sequence[str], plan: Plan | None = None) -> CommandLine:
    """What a command such as `python -m uvicorn main:app --port 80` says. What can't be understood is remarked in
    `plan`. Raises `ConfigurationError` if none of the servers is called."""
    server, rest = _server_in(words)
    flags = {flag: rule for rule in server.rules for flag in rule.flags}
    values: dict[str, object] = {}
    app = config = ""
    position = 0
    while position < len(rest):
        word, position = rest[position], position + 1
        if not word.startswith("-") or word == "-":
            app = app or word
            continue
        flag, has_value, value = _split(word, flags)
        rule = flags.get(flag)
        if flag in _CONFIG_FLAGS and server.name in ("gunicorn", "hypercorn"):
            rule = Rule("config", _CONFIG_FLAGS)
        if rule is None:
            if plan is not None:
                plan.faults.append(f"{flag} is no option of {server.name} that gracehttp knows.")
            continue
        if rule.takes is Takes.VALUE and not has_value:
            if position == len(rest):
                raise ConfigurationError(f"{flag} has no value.", hint=f"copy the whole command of {server.name}")
            value, position = rest[position], position + 1
        if rule.name == "config":
            config = value
        elif rule.takes is not Takes.VALUE:
            values[rule.name] = rule.takes is Takes.NOTHING
        elif rule.repeatable:
            before = values.get(rule.name)
            values[rule.name] = [*(before if isinstance(before, list) else []), value]
        else:
            values[rule.name] = value
    return CommandLine(server, app, values, config)


def _server_in(words: Sequence[str]) -> tuple[Server, list[str]]:
    """The server that is called, and what follows. What stands before it starts it: `python -m`, `exec`, `uv run`."""
    for index, word in enumerate(words):
        name = os.path.basename(word)
        if name in SERVERS:
            rest = list(words[index + 1 :])
            if rest[:1] == ["run"] and name in ("gunicorn", "hypercorn"):
                rest = rest[1:]
            return SERVERS[name], rest
    names = (os.path.basename(word).removesuffix(".exe") for word in words)
    raise ConfigurationError(
        "none of gunicorn, uvicorn, granian and hypercorn is called there.",
        hint=next((_OTHERS[name] for name in names if name in _OTHERS), _EXAMPLES),
    )


def _split(word: str, flags: dict[str, Rule]) -> tuple[str, bool, str]:
    """`--name=value`, `-w4`, or a flag alone."""
    if word.startswith("--"):
        flag, separator, value = word.partition("=")
        return flag, bool(separator), value
    if word not in flags and len(word) > 2 and (word[:2] in flags or word[:2] in _CONFIG_FLAGS):
        return word[:2], True, word[2:].removeprefix("=")
    return word, False, ""
