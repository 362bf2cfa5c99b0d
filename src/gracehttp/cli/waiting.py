"""Waiting for a command: what `gracehttp restart` and `gracehttp stop` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from gracehttp.cli.control_client import ControlClient
from gracehttp.cli.target import read_duration
from gracehttp.console import echo
from gracehttp.errors import CommandFailed, WaitInterrupted
from gracehttp.wire.control import Outcome

_Command = TypeVar("_Command", bound=Callable[..., Any])


def waiting_options(what: str) -> Callable[[_Command], _Command]:
    """Gives a command the options --timeout and --quiet. `what` names what goes on after a timeout: "restart"."""

    def with_options(command: _Command) -> _Command:
        click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")(command)
        click.option(
            "--timeout",
            metavar="DURATION",
            callback=read_duration,
            help=f"Wait no longer than this: the {what} goes on, and the exit status is 4.  "
            "[default: as long as it takes]",
        )(command)
        return command

    return with_options


def carry_out(
    client: ControlClient, command: str, *, doing: str, timeout: float | None, quiet: bool, **parameters: bool
) -> Outcome:
    """Send `command`, with those of `parameters` that are true, print its progress, and wait for its result.

    Raises `SupervisorEnded`, `StillUnderWay` at the timeout, `WaitInterrupted` at Ctrl+C, and `CommandFailed` if the
    supervisor could not carry it out.
    """
    try:
        reply = client.ask(
            command,
            doing=doing,
            timeout_seconds=timeout,
            on_progress=None if quiet else _print_progress,
            **{name: True for name, wanted in parameters.items() if wanted},
        )
    except KeyboardInterrupt as exc:
        raise WaitInterrupted(
            f"interrupted; the supervisor ({client.address}) is still {doing}.",
            hint=f"the {command} goes on; gracehttp status {client.address.option} tells how it ends",
        ) from exc
    if not reply.ok:
        raise CommandFailed(reply.message, details=reply.details)
    return reply


def _print_progress(sentence: str) -> None:
    """Print the first line of `sentence` on standard error: tracebacks come with the result."""
    echo(sentence.partition("\n")[0], err=True)
