"""`gracehttp top`: watch what runs."""

from __future__ import annotations

import sys
from functools import partial

import click

from gracehttp.cli.control_client import ControlAddress
from gracehttp.cli.live.source import look
from gracehttp.cli.target import read_duration, targeted
from gracehttp.errors import CommandFailed, ConfigurationError


@click.command()
@targeted
@click.option(
    "--every",
    metavar="DURATION",
    callback=read_duration,
    default="1s",
    show_default=True,
    help="How often to look.",
)
def top(address: ControlAddress, every: float) -> None:
    """Watch generations, workers, requests, connections and events of a running service.

    Requests and latency are counted by a service that runs with --metrics.

    \b
    gracehttp top --pidfile app.pid
    gracehttp top --pid 4711 --every 5s
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigurationError(
            "gracehttp top needs a terminal, for its input and its output.",
            hint="gracehttp status tells once what runs, with --json for programs",
        )
    try:
        from gracehttp.cli.live.screen import Top
    except ImportError as exc:
        raise CommandFailed(
            f"gracehttp top needs the library textual ({exc}).", hint="pip install 'gracehttp[top]'"
        ) from exc
    ask = partial(look, address)
    ask()  # what is wrong is told before the screen changes
    Top(ask, seconds=every).run()
