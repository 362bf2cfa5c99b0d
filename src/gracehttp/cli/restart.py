"""`gracehttp restart`: replace the running code."""

from __future__ import annotations

import click

from gracehttp.cli.control_client import ControlAddress, ControlClient
from gracehttp.cli.target import targeted
from gracehttp.cli.waiting import carry_out, waiting_options
from gracehttp.console import echo_result


@click.command()
@targeted
@click.option(
    "--supervisor",
    is_flag=True,
    help="Replace the supervisor first: a new gracehttp, a new Python. Its PID stays (as by kill -USR2).",
)
@waiting_options("restart")
def restart(address: ControlAddress, supervisor: bool, timeout: float | None, quiet: bool) -> None:
    """Replace the running code; tells whether it serves.

    Waits until the new workers have taken over, then prints their PIDs. If they don't become ready, the old ones
    serve on untouched; the reason is printed, with the traceback of the application, and the exit status is 1.

    If the new code is on probation (serve --probation), waits until that is over, too. If the old workers had to take
    over again, the reason is printed, and the exit status is 1.

    With --supervisor, the new supervisor is tried first. If it would not start, nothing happens at all, and the exit
    status is 1.

    After --timeout, the exit status is 4: the restart is still under way, and gracehttp status tells how it ends.

    \b
    gracehttp restart --pidfile app.pid
    gracehttp restart -c gracehttp.toml --supervisor
    """
    with ControlClient(address) as client:
        reply = carry_out(client, "restart", doing="restarting", timeout=timeout, quiet=quiet, supervisor=supervisor)
    if quiet:
        return
    pids = " ".join(map(str, reply.pids))
    echo_result(f"generation {reply.generation} serves, worker PIDs: {pids}")
