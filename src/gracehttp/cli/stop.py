"""`gracehttp stop`: finish what is in flight, then end."""

from __future__ import annotations

import click

from gracehttp.cli.control_client import ControlClient, SupervisorEnded
from gracehttp.cli.target import find, progress_teller, read_duration, targeted
from gracehttp.errors import CommandFailed


@click.command()
@targeted
@click.option("--force", "-f", is_flag=True, help="Cut what is in flight.")
@click.option(
    "--timeout",
    metavar="DURATION",
    callback=read_duration,
    help="Wait no longer than this; the stop goes on.  [default: as long as it takes]",
)
@click.option("--quiet", "-q", is_flag=True, help="Don't tell the progress.")
def stop(
    pidfile: str | None, pid: int | None, control: str | None, force: bool, timeout: float | None, quiet: bool
) -> None:
    """Finish what is in flight, then stop.

    That takes at most the --drain-timeout of the service; then what is left is cut.

    \b
    gracehttp stop --pidfile app.pid
    gracehttp stop --pidfile app.pid --force
    """
    address = find(pidfile=pidfile, pid=pid, control=control)
    with ControlClient(address) as client:
        try:
            reply = client.ask(
                "stop",
                doing="stopping",
                timeout_seconds=timeout,
                on_progress=progress_teller(quiet=quiet),
                **({"force": True} if force else {}),
            )
        except SupervisorEnded as ended:
            # The end of the connection is what was asked for, unless the supervisor lives on.
            if not ended.accepted and not client.wait_for_exit():
                raise CommandFailed(
                    f"the supervisor ({address}) closed the connection and runs on.", hint="its log tells why"
                ) from ended
        else:
            if not reply.ok:
                raise CommandFailed(reply.message, details=reply.details)
    click.echo("stopped")
