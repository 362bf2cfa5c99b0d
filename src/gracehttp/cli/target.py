"""Which supervisor a command is for: --pidfile, --pid or --control, else the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from gracehttp.cli.control_client import ControlAddress
from gracehttp.config import PROCESS_OPTIONS
from gracehttp.config.kinds import Duration, UnreadableError
from gracehttp.errors import CommandFailed, ConfigurationError

_Command = TypeVar("_Command", bound=Callable[..., Any])


def read_duration(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """A callback of click: the seconds of a duration such as 30s."""
    try:
        return None if value is None else Duration().read(value)
    except UnreadableError as exc:
        raise click.BadParameter(f"{value!r} is not {exc}.", ctx, parameter) from exc


def targeted(command: _Command) -> _Command:
    """Gives `command` the options that `find` takes."""
    pidfile, control = PROCESS_OPTIONS["pidfile"].variable, PROCESS_OPTIONS["control"].variable
    click.option("--control", metavar="PATH", help=f"Its control socket, if it has a path.  [env: {control}]")(command)
    click.option("--pid", type=int, metavar="PID", help="The PID of the supervisor.")(command)
    click.option("--pidfile", "-p", metavar="PATH", help=f"The file with its PID.  [env: {pidfile}]")(command)
    return command


def find(
    *, pidfile: str | None, pid: int | None, control: str | None, environ: Mapping[str, str] = os.environ
) -> ControlAddress:
    """The address of the supervisor that exactly one of the options names, or else the environment.

    Raises `ConfigurationError` when none or several do, and `CommandFailed` when the pidfile has no PID.
    """
    given = [text for text in (pidfile, pid, control) if text is not None]
    if len(given) > 1:
        raise ConfigurationError("--pidfile, --pid and --control name several supervisors.", hint="give only one")
    if not given:
        control = environ.get(PROCESS_OPTIONS["control"].variable) or None
        pidfile = environ.get(PROCESS_OPTIONS["pidfile"].variable) or None
    if control is not None:
        return ControlAddress(path=control)
    if pidfile is not None:
        return ControlAddress(pid=read_pidfile(Path(pidfile)))
    if pid is None:
        raise ConfigurationError(
            "which supervisor is meant?", hint="give --pidfile PATH, --pid PID or --control PATH, as it was started"
        )
    return ControlAddress(pid=pid)


def read_pidfile(path: Path) -> int:
    """The PID in the file `path`. Raises `CommandFailed`."""
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError as exc:
        raise CommandFailed(
            f"there is no pidfile {path}.", hint="the service is not running, or has another --pidfile"
        ) from exc
    except OSError as exc:
        raise CommandFailed(f"cannot read the pidfile {path}: {exc.strerror}.") from exc
    if not text.isdecimal() or int(text) == 0:
        raise CommandFailed(f"the pidfile {path} holds no PID.", hint="is it the pidfile of this service?")
    return int(text)


def progress_teller(*, quiet: bool) -> Callable[[str], None] | None:
    """What tells the progress on stderr. One line each: tracebacks come with the result."""
    return None if quiet else lambda sentence: click.echo(sentence.partition("\n")[0], err=True)
