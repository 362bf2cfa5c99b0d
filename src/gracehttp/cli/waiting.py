"""Waiting for a command: what `gracehttp restart` and `gracehttp stop` share."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import click

from gracehttp.cli.control_client import ControlAddress, ControlClient
from gracehttp.cli.live_line import LiveLine, Steps, drain_text, progress_display, stop_text
from gracehttp.cli.target import read_duration
from gracehttp.errors import CommandFailed, WaitInterrupted
from gracehttp.wire.control import Outcome, Status

_LOOK_AGAIN_SECONDS: Final = 0.2
_STATUS_TIMEOUT_SECONDS: Final = 5.0

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
    client: ControlClient,
    command: str,
    *,
    doing: str,
    timeout: float | None,
    quiet: bool,
    shows_rest: bool = False,
    **parameters: bool,
) -> Outcome:
    """Send `command`, with those of `parameters` that are true, print its progress, and wait for its result. With
    `shows_rest`, the live line of a terminal tells what is left meanwhile.

    Raises `SupervisorEnded`, `StillUnderWay` at the timeout, `WaitInterrupted` at Ctrl+C, and `CommandFailed` if the
    supervisor could not carry it out.
    """
    display = progress_display()
    watched = shows_rest and not quiet and isinstance(display, LiveLine)
    try:
        reply = client.ask(
            command,
            doing=doing,
            timeout_seconds=timeout,
            on_progress=None if quiet else display.tell,
            meanwhile=partial(_show_stop, client.address, display, time.monotonic()) if watched else None,
            **{name: True for name, wanted in parameters.items() if wanted},
        )
    except KeyboardInterrupt as exc:
        raise WaitInterrupted(
            f"interrupted; the supervisor ({client.address}) is still {doing}.",
            hint=f"the {command} goes on; gracehttp status {client.address.option} tells how it ends",
        ) from exc
    finally:
        if not quiet:
            display.clear()
    if not reply.ok:
        raise CommandFailed(reply.message, details=reply.details)
    return reply


def watch_drain(address: ControlAddress) -> None:
    """At a terminal, show how many connections the old workers still have, until the last one is gone. The command has
    its result already: what goes wrong here is no failure, and Ctrl+C ends the watching alone."""
    display = progress_display()
    if not isinstance(display, LiveLine):
        return
    with contextlib.suppress(CommandFailed, KeyboardInterrupt):
        while text := drain_text(_status(address)):
            display.show(f"{text} (Ctrl+C: it goes on by itself)")
            time.sleep(_LOOK_AGAIN_SECONDS)  # workers count in shared memory: no event tells of each connection
    display.clear()


def _show_stop(address: ControlAddress, display: Steps, since: float) -> None:
    with contextlib.suppress(CommandFailed):  # it may end at any moment
        if text := stop_text(_status(address), time.monotonic() - since):
            display.show(text)


def _status(address: ControlAddress) -> Status:
    with ControlClient(address) as client:
        reply = client.ask("status", doing="telling its status", timeout_seconds=_STATUS_TIMEOUT_SECONDS)
    if reply.status is None:
        raise CommandFailed(reply.message)
    return reply.status
