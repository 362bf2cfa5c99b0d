"""`gracehttp stop`: end the service, after the requests in flight."""

from __future__ import annotations

import click

from gracehttp.cli.control_client import ControlAddress, ControlClient, SupervisorEnded
from gracehttp.cli.target import targeted
from gracehttp.cli.waiting import carry_out, waiting_options
from gracehttp.console import echo_result
from gracehttp.errors import CommandFailed


@click.command()
@targeted
@click.option("--force", "-f", is_flag=True, help="Cut what is in flight.")
@waiting_options("stop")
def stop(address: ControlAddress, force: bool, timeout: float | None, quiet: bool) -> None:
    """Finish what is in flight, then stop; returns when the process has ended.

    That takes at most the --drain-timeout of the service; then what is left is cut. At a terminal one line shows how
    many workers are left. After --timeout, the exit status is 4: the stop is still under way, and gracehttp status
    tells what is left.

    \b
    gracehttp stop --pidfile app.pid
    gracehttp stop -c gracehttp.toml --force
    """
    with ControlClient(address) as client:
        try:
            carry_out(client, "stop", doing="stopping", timeout=timeout, quiet=quiet, shows_rest=True, force=force)
            # What comes next may need its files: a script starts another service, or unmounts a disk.
            client.wait_for_exit()
        except SupervisorEnded as ended:
            # The supervisor may end before it answers. Unless it lives on, the command has succeeded.
            if not client.wait_for_exit() and not ended.accepted:
                raise CommandFailed(
                    f"the supervisor ({address}) closed the connection and runs on.", hint="its log tells why"
                ) from ended
    if not quiet:
        echo_result("stopped")
