"""`gracehttp example`: files for the tools around a service, made for its options."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from gracehttp.cli.examples import containers, proxies, systemd
from gracehttp.cli.examples.service import Service
from gracehttp.cli.options import ConfiguredCommand, configured
from gracehttp.config import load
from gracehttp.config.sources import from_command_line, from_environment
from gracehttp.console import echo

EXAMPLES: Mapping[str, Callable[[Service], str]] = {
    "systemd": systemd.unit,
    "dockerfile": containers.dockerfile,
    "compose": containers.compose,
    "kubernetes": containers.kubernetes,
    "nginx": proxies.nginx,
    "haproxy": proxies.haproxy,
    "caddy": proxies.caddy,
    "logrotate": proxies.logrotate,
}


@click.command(cls=ConfiguredCommand)
@click.argument("tool", metavar="TOOL", type=click.Choice(list(EXAMPLES)))
@configured
def example(tool: str, config_file: Path | None, **values: object) -> None:
    """Print a file for TOOL: systemd, dockerfile, compose, kubernetes, nginx, haproxy, caddy or logrotate.

    Takes what serve takes, and prints a file that fits these options: its addresses and health checks, and above all
    its times, so that nothing kills a service in the middle of its drain. APP is main:app if there is none.

    \b
    gracehttp example systemd main:app --workers 4 > app.service
    gracehttp example kubernetes -c gracehttp.toml --drain-timeout 60s
    """
    given = {**from_environment(os.environ).values, **from_command_line(values).values}
    if config_file is None:
        given.setdefault("app", "main:app")
    configuration = load(cli=given, environ={}, file=config_file)
    if tool == "kubernetes":
        given = containers.with_stop_delay(given, configuration)
        configuration = load(cli=given, environ={}, file=config_file)
    app = given.pop("app", None)
    service = Service(
        configuration=configuration,
        app=None if app is None else str(app),
        config_file=None if config_file is None else str(config_file),
        given=given,
        program=_program(),
        directory=os.getcwd(),
        user=_user(),
    )
    echo(EXAMPLES[tool](service).rstrip("\n"))


def _program() -> str:
    """The command gracehttp of this environment."""
    beside = Path(sys.executable).with_name("gracehttp")
    return str(beside) if beside.exists() else os.path.abspath(sys.argv[0])


def _user() -> str:
    """The user that starts the service: this one, but never root."""
    return getpass.getuser() if os.geteuid() else "www-data"
