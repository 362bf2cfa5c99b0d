"""`gracehttp stop`: finish what is in flight, then end."""

from __future__ import annotations

import click

from gracehttp.cli.control_client import ControlClient, SupervisorEnded
from gracehttp.cli.target import find, read_duration, targeted
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
    """Stop the service: finish what is in flight, for at most its --drain-timeout, then end.

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
                on_progress=None if quiet else lambda sentence: click.echo(sentence, err=True),
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
