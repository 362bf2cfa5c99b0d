"""`gracehttp migrate`: the options of another server as ours."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

import click

from gracehttp.cli.migrating.arguments import read_command
from gracehttp.cli.migrating.config_files import read_config
from gracehttp.cli.migrating.plan import Plan, by_name
from gracehttp.cli.migrating.servers import SERVERS, Server
from gracehttp.cli.migrating.writing import as_toml
from gracehttp.console import echo
from gracehttp.errors import EXIT_USAGE


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("words", nargs=-1, required=True, metavar="FILE | -- COMMAND...", type=click.UNPROCESSED)
def migrate(words: tuple[str, ...]) -> None:
    """Tell what does the same here as gunicorn, uvicorn, granian or hypercorn do there.

    Takes the file of options of gunicorn (or of hypercorn, as TOML), or the whole command with which one of these
    servers is started. Prints a file of options for gracehttp serve --config, with the command line that does the same,
    what has no equivalent and what to do instead, and where a default differs, as comments in it.

    A file that is Python is executed, as that server does, in a process of its own: run this in the environment and the
    folder in which that server runs. The server itself need not be installed.

    The exit status is 2 if a command names no application, or has an option that isn't known; the rest is printed.

    \b
    gracehttp migrate gunicorn.conf.py > gracehttp.toml
    gracehttp migrate -- gunicorn -c gunicorn.conf.py -k uvicorn.workers.UvicornWorker main:app
    gracehttp migrate -- uvicorn main:app --host 0.0.0.0 --port 80
    """
    plan = plan_for(words)
    echo(as_toml(plan, shlex.join(words)))
    for fault in plan.faults:
        echo(f"gracehttp: error: {fault}", err=True)
    if plan.faults:
        raise click.exceptions.Exit(EXIT_USAGE)


def plan_for(words: Sequence[str]) -> Plan:
    """The plan for a file, or for the words of a command. Raises `ConfigurationError`."""
    if len(words) == 1 and " " in words[0] and not os.path.exists(words[0]):
        words = shlex.split(words[0])  # the whole command in quotes
    if len(words) == 1 and os.path.basename(words[0]) not in SERVERS:
        server = SERVERS["hypercorn" if words[0].endswith(".toml") else "gunicorn"]
        plan = Plan(server.name)
        _apply(plan, server, _known(server, read_config(words[0])))
        return plan
    plan = Plan("")
    command = read_command(words, plan)
    plan.server, plan.app = command.server.name, command.app
    config = command.config
    if not config and plan.server == "gunicorn" and os.path.isfile("gunicorn.conf.py"):
        config = "gunicorn.conf.py"  # which gunicorn reads without being told
    below = _known(command.server, read_config(config)) if config and config != "none" else {}
    _apply(plan, command.server, {**below, **command.values})
    if not plan.app:
        plan.faults.append(f"this command of {plan.server} names no application, such as main:app.")
    return plan


def _known(server: Server, values: dict[str, object]) -> dict[str, object]:
    """What of a file are options; a file of Python has other names too."""
    names = {rule.name for rule in server.rules}
    aliases = (
        {"access_log": "accesslog", "error_log": "errorlog", "pid": "pid_path"} if server.name == "hypercorn" else {}
    )
    read = {aliases.get(name.lower(), name.lower()): value for name, value in values.items()}
    return {name: value for name, value in read.items() if name in names}


def _apply(plan: Plan, server: Server, values: dict[str, object]) -> None:
    plan.apply(by_name(server.rules), values)
    if not plan.app and "application_path" not in values and "wsgi_app" not in values:
        plan.remark("the application", "it is not named there: write app, or name it on the command line")
    server.finish(plan)
    plan.check_levels()
