"""`gracehttp demo`: a small service to try restarts with, and the proof that they lose nothing."""

from __future__ import annotations

import os
import sys

import click

from gracehttp.cli.parameters import WholeNumber
from gracehttp.config import Configuration, ServerOptions, process_options, server_options
from gracehttp.console import echo
from gracehttp.demo.load import CONNECTIONS
from gracehttp.demo.proof import prove
from gracehttp.events import Event, GenerationPromoted
from gracehttp.net.address import TcpAddress
from gracehttp.wire.lineage import is_first_process

APPLICATION = "gracehttp.demo.app:application"
_DEFAULT_BIND = "127.0.0.1:9090"
_MAX_CONNECTIONS = 1000
_WORKERS = "How many worker processes serve."


@click.command()
@click.option("--bind", "-b", metavar="ADDRESS", help=f"Where to listen.  [default: {_DEFAULT_BIND}]")
@click.option(
    "--restarts",
    type=WholeNumber(1, 1000),
    metavar="N",
    help="Restart N times under load, count what was lost, and stop.",
)
@click.option("--workers", "-w", type=WholeNumber(1, 64), default=1, metavar="N", help=_WORKERS, show_default=True)
@click.option(
    "--connections",
    type=WholeNumber(1, 10_000),
    metavar="N",
    help=f"With --restarts: how many connections the load comes over.  [default: {CONNECTIONS}]",
)
@click.option(
    "--max-connections",
    type=WholeNumber(1),
    metavar="N",
    help=f"How many connections the service takes.  [default: {_MAX_CONNECTIONS}, or as many as the load has]",
)
def demo(
    bind: str | None, restarts: int | None, workers: int, connections: int | None, max_connections: int | None
) -> None:
    """Serve a small application, to try restarts with.

    With --restarts N the demo proves itself: it starts the service, sends requests over 32 connections, restarts it
    N times meanwhile, and prints how many requests were lost. The exit status is 1 if any was.

    \b
    gracehttp demo
    gracehttp demo --restarts 5
    gracehttp demo --restarts 20 --workers 2 --connections 256
    """
    if restarts is not None:
        connections = connections or CONNECTIONS
        limit = max_connections or max(_MAX_CONNECTIONS, connections)
        prove(bind or "127.0.0.1:0", restarts, workers=workers, connections=connections, max_connections=limit)
        return
    if connections is not None:
        raise click.UsageError("--connections is for the load of --restarts. Hint: give --restarts N, too")
    (server,) = demo_servers(bind or _DEFAULT_BIND, max_connections or _MAX_CONNECTIONS)
    is_first = is_first_process(os.environ)  # a worker runs the same command line, and must not print it again
    from gracehttp.api import GraceHTTP  # help must not wait for the server's modules

    configuration = Configuration(process_options(workers=workers), (server,))
    GraceHTTP.from_configuration(configuration, Host(server) if is_first else None).run()


class Host:
    """Prints what to try, once the service serves."""

    def __init__(self, server: ServerOptions) -> None:
        self._server = server
        self._greeted = False

    def __call__(self, event: Event) -> None:
        if isinstance(event, GenerationPromoted) and not self._greeted:
            self._greeted = True
            echo("\n".join(introduction(self._server, os.getpid(), called_as(sys.argv[0]))))


def demo_servers(bind: str, max_connections: int = _MAX_CONNECTIONS) -> tuple[ServerOptions, ...]:
    """The server of the demo on `bind`, with limits that are low enough to watch them."""
    return server_options(
        APPLICATION, bind=bind, max_connections=max_connections, header_timeout="1s", body_timeout="1s"
    )


def called_as(argument: str) -> str:
    """The command that calls this program again. `argument` is argument 0 of this call: a path, or a bare name."""
    if os.path.basename(argument) == "__main__.py":
        return f"{sys.executable} -m gracehttp"
    return argument if "/" in argument and os.path.basename(argument) == "gracehttp" else "gracehttp"


def introduction(server: ServerOptions, pid: int, command: str) -> list[str]:
    """The lines that say what to try with `server`. `pid` is its supervisor; `command` calls this program."""
    address = server.bind.address
    status = f"  {command} status --pid {pid}"
    if isinstance(address, TcpAddress) and address.port:
        url = f"{'https' if server.tls else 'http'}://{address.local}"
        first = [f"  curl {url}/ping", status]
    else:
        url, first = str(address), [f"{status}     (tells the address)"]
    return [
        f"The demo serves on {url}, supervisor PID {pid}. Try:",
        *first,
        f"  {command} restart --pid {pid}    (or kill -HUP {pid}; then the PID of the answers is another one)",
        f"  {command} stop --pid {pid}       (or Ctrl+C)",
    ]
