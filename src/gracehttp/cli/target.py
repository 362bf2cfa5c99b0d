"""Which supervisor a command is for.

--pidfile, --pid or --control name it, else the environment, else the file of options.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from gracehttp.cli.control_client import ControlAddress
from gracehttp.cli.options import config_option
from gracehttp.cli.parameters import WholeNumber
from gracehttp.cli.process_table import supervisors
from gracehttp.config import PROCESS_OPTIONS, places
from gracehttp.config.readers import UnreadableError
from gracehttp.config.types import duration
from gracehttp.errors import CommandFailed, ConfigurationError

_DURATION = duration()
_SHOWN_SUPERVISORS = 8


def read_duration(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """A callback of click: the seconds of a duration such as 30s; None if it wasn't given."""
    try:
        return None if value is None else _DURATION.parse(value)
    except UnreadableError as exc:
        raise click.BadParameter(f"{value!r} is not {exc}.", ctx, parameter) from exc


def targeted(command: Callable[..., None]) -> Callable[..., None]:
    """Gives `command` the options that name a supervisor, and calls it with the `address` that they amount to.

    Of the file of options only the place of the supervisor counts: a service can be looked at and stopped while its
    file is being edited."""
    return _targeted(command, whole_file=False)


def targeted_with_file(command: Callable[..., None]) -> Callable[..., None]:
    """As `targeted`, for a command that brings the file of options into use: what is wrong in it is told first."""
    return _targeted(command, whole_file=True)


def _targeted(command: Callable[..., None], *, whole_file: bool) -> Callable[..., None]:
    @functools.wraps(command)
    def with_address(
        pidfile: str | None, pid: int | None, control: str | None, config_file: Path | None, **others: object
    ) -> None:
        try:
            address = find(pidfile=pidfile, pid=pid, control=control, config_file=config_file, whole_file=whole_file)
        except ConfigurationError as exc:
            if config_file is None:
                raise
            unchanged = "no supervisor was asked for anything: what runs, runs on"
            if exc.hint.endswith("?"):
                hint = f"{exc.hint} {unchanged.capitalize()}"
            else:
                hint = f"{exc.hint}; {unchanged}" if exc.hint else unchanged
            raise ConfigurationError(exc.message, hint=hint, details=exc.details) from exc
        command(address, **others)

    pidfile, control = PROCESS_OPTIONS["pidfile"].variable, PROCESS_OPTIONS["control"].variable
    config_option(
        "The TOML file with the options of the service: its pidfile or control says where the supervisor is."
    )(with_address)
    click.option("--control", metavar="PATH", help=f"Its control socket, if it has a path.  [env: {control}]")(
        with_address
    )
    click.option("--pid", type=WholeNumber(1, what="a PID"), metavar="PID", help="The PID of the supervisor.")(
        with_address
    )
    click.option("--pidfile", "-p", metavar="PATH", help=f"The file with its PID.  [env: {pidfile}]")(with_address)
    return with_address


def find(
    *,
    pidfile: str | None,
    pid: int | None,
    control: str | None,
    config_file: Path | None,
    environ: Mapping[str, str] = os.environ,
    whole_file: bool = True,
) -> ControlAddress:
    """The address of the supervisor.

    One of `pidfile`, `pid` and `control` names it; without them, the environment and the file of options do, as
    `gracehttp serve` reads them; without `whole_file`, nothing else in the file counts. Raises `ConfigurationError` if
    it is named by none or by several, and `CommandFailed` if the pidfile has no PID.
    """
    given = [text for text in (pidfile, pid, control) if text is not None]
    if len(given) > 1:
        raise ConfigurationError("--pidfile, --pid and --control name several supervisors.", hint="give only one")
    if not given:
        pidfile, control = places(environ=environ, file=config_file, whole_file=whole_file)
    if control is not None:
        return ControlAddress(path=control)
    if pidfile is not None:
        return ControlAddress(pid=read_pidfile(Path(pidfile)))
    if pid is not None:
        return ControlAddress(pid=pid)
    if config_file is not None:
        raise ConfigurationError(
            f"{config_file} names neither a pidfile nor a control socket.",
            hint='give --pid PID now, and the file a line such as pidfile = "app.pid" for the next start',
        )
    running = "; ".join(f"--pid {number} is {name}" for number, name in supervisors()[:_SHOWN_SUPERVISORS])
    raise ConfigurationError(
        "which supervisor is meant?",
        hint="give --pidfile PATH, --pid PID, --control PATH or --config FILE, as it was started"
        + (f". Here run: {running}" if running else ""),
    )


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
