"""`gracehttp restart`: replace the running code."""

from __future__ import annotations

import click

from gracehttp.cli.control_client import ControlAddress, ControlClient
from gracehttp.cli.target import targeted_with_file
from gracehttp.cli.waiting import carry_out, waiting_options, watch_drain
from gracehttp.console import echo_result


@click.command()
@targeted_with_file
@click.option(
    "--supervisor",
    is_flag=True,
    help="Replace the supervisor first: a new gracehttp, a new Python. Its PID stays (as by kill -USR2).",
)
@click.option(
    "--supersede",
    is_flag=True,
    help="End a restart that is under way, such as one that hangs, instead of waiting for its end (as by kill -HUP).",
)
@waiting_options("restart")
def restart(address: ControlAddress, supervisor: bool, supersede: bool, timeout: float | None, quiet: bool) -> None:
    """Replace the running code; tells whether it serves.

    Waits until the new workers have taken over, then prints their PIDs. If they don't become ready, the old ones
    serve on untouched; the reason is printed, with the traceback of the application, and the exit status is 1.

    If the new code is on probation (serve --probation), waits until that is over, too. If the old workers had to take
    over again, the reason is printed, and the exit status is 1.

    If another restart is under way, this one begins when that has ended: new code that is good is not ended by the
    next deploy. Restarts that are asked for meanwhile are one.

    With --supervisor, the new supervisor is tried first. If it would not start, nothing happens at all, and the exit
    status is 1.

    At a terminal one line shows what goes on, also how many connections the old workers still have; Ctrl+C ends only
    that. Elsewhere each step is a line on standard error.

    After --timeout, the exit status is 4: the restart is still under way, and gracehttp status tells how it ends.

    \b
    gracehttp restart --pidfile app.pid
    gracehttp restart -c gracehttp.toml --supervisor
    """
    with ControlClient(address) as client:
        wanted = {"supervisor": supervisor, "supersede": supersede}
        reply = carry_out(client, "restart", doing="restarting", timeout=timeout, quiet=quiet, **wanted)
    if quiet:
        return
    pids = " ".join(map(str, reply.pids))
    echo_result(f"generation {reply.generation} serves, worker PIDs: {pids}")
    watch_drain(address)
