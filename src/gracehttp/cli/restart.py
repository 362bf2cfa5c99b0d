"""`gracehttp restart`: new code, and whether it serves."""

from __future__ import annotations

import click

from gracehttp.cli.control_client import ControlClient
from gracehttp.cli.target import find, progress_teller, read_duration, targeted
from gracehttp.errors import CommandFailed


@click.command()
@targeted
@click.option(
    "--supervisor",
    is_flag=True,
    help="Replace the supervisor first: a new gracehttp, a new Python. Its PID stays (as by kill -USR2).",
)
@click.option(
    "--timeout",
    metavar="DURATION",
    callback=read_duration,
    help="Wait no longer than this; the restart goes on.  [default: as long as it takes]",
)
@click.option("--quiet", "-q", is_flag=True, help="Don't tell the progress.")
def restart(
    pidfile: str | None, pid: int | None, control: str | None, supervisor: bool, timeout: float | None, quiet: bool
) -> None:
    """Replace the running code; tells whether it serves.

    Waits until the new workers have taken over, then prints their PIDs. If they don't become ready, the old ones
    serve on untouched; the reason is printed, with the traceback of the application, and the exit status is 1.

    With --supervisor, the new supervisor is tried first. If it would not start, nothing happens at all, and the exit
    status is 1.

    \b
    gracehttp restart --pidfile app.pid
    gracehttp restart --pidfile app.pid --supervisor
    """
    with ControlClient(find(pidfile=pidfile, pid=pid, control=control)) as client:
        reply = client.ask(
            "restart",
            doing="restarting",
            timeout_seconds=timeout,
            on_progress=progress_teller(quiet=quiet),
            **({"supervisor": True} if supervisor else {}),
        )
    if not reply.ok:
        raise CommandFailed(reply.message, details=reply.details)
    pids = " ".join(map(str, reply.pids))
    click.echo(f"generation {reply.generation} serves, worker PIDs: {pids}")
