"""The proof of `gracehttp demo --restarts`: a service in a child process, load on it, restarts meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import IO

from gracehttp.cli.control_client import ControlAddress, ControlClient
from gracehttp.console import echo
from gracehttp.demo.accounting import Account, report
from gracehttp.demo.load import Load
from gracehttp.errors import CommandFailed, StartError
from gracehttp.net.address import TcpAddress, parse_address
from gracehttp.net.limits import raise_descriptor_limit
from gracehttp.net.shared_page import anonymous_file
from gracehttp.wire.control import Outcome, Status

START_TIMEOUT_SECONDS = 60.0
RESTART_TIMEOUT_SECONDS = 120.0
STOP_TIMEOUT_SECONDS = 60.0
_REQUESTS_BETWEEN_RESTARTS = 1000
_POLL_SECONDS = 0.05


def prove(bind: str, restarts: int, *, workers: int, connections: int, max_connections: int) -> None:
    """Restart a service of `workers` on `bind` `restarts` times, under load over `connections`, and print the sums.

    Raises `StartError` if it does not start, and `CommandFailed` if a restart fails or a request is lost.
    """
    raise_descriptor_limit()
    options = ["--bind", bind, "--workers", str(workers), "--max-connections", str(max_connections)]
    with _service(options) as (pid, host, port):
        echo(f"service on {host}:{port}, pid {pid}; load from {connections} connections")
        load = Load(host, port, connections=connections)
        account = asyncio.run(_restart_under_load(pid, load, restarts))
    echo("\n".join(report(account, restarts=restarts)))
    if account.lost:
        raise CommandFailed(f"{account.lost} of {account.requests} requests were lost.")


async def _restart_under_load(pid: int, load: Load, restarts: int) -> Account:
    load.start()
    try:
        for number in range(1, restarts + 1):
            await load.wait_for_requests(_REQUESTS_BETWEEN_RESTARTS)
            started = time.monotonic()
            reply = await asyncio.to_thread(_ask, pid, "restart", "restarting", RESTART_TIMEOUT_SECONDS)
            if not reply.ok:
                raise CommandFailed(reply.message, details=reply.details)
            workers = " ".join(map(str, reply.pids))
            echo(f"restart {number}: worker PIDs {workers}, after {time.monotonic() - started:.2f} s")
        await load.wait_for_requests(_REQUESTS_BETWEEN_RESTARTS)
    finally:
        await load.finish()
    return load.account


@contextlib.contextmanager
def _service(options: Sequence[str]) -> Iterator[tuple[int, str, int]]:
    """A demo in a child process, as its PID, host and port. It is stopped at the end."""
    with open(anonymous_file("log"), "w+b") as log:
        command = [sys.executable, "-m", "gracehttp", "demo", *options]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603  our own program
        try:
            host, port = _wait_until_it_serves(child, log)
            yield child.pid, host, port
        finally:
            _stop(child)


def _wait_until_it_serves(child: subprocess.Popen[bytes], log: IO[bytes]) -> tuple[str, int]:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(CommandFailed):  # the control socket is not there yet
            status = _ask(child.pid, "status", "starting", 5.0).status
            found = serving_address(status) if status is not None else None
            if found is not None:
                return found
        time.sleep(_POLL_SECONDS)  # what could tell, the control socket, is not there before the service
    log.seek(0)
    output = log.read().decode(errors="replace")
    raise StartError("the service of the demo did not start.", details=output)


def serving_address(status: Status) -> tuple[str, int] | None:
    """Host and port at which the service with this `status` is reached; None while no generation serves.

    Raises `StartError` if it doesn't listen on TCP.
    """
    if not any(one.state == "serving" for one in status.generations):
        return None
    address = parse_address(status.listeners[0].bound)
    if not isinstance(address, TcpAddress):
        raise StartError(f"the demo can't load {address}.", hint="give --bind HOST:PORT")
    local = address.local
    return local.host, local.port


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the service: gracefully, and after a timeout by SIGKILL."""
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _ask(pid: int, command: str, doing: str, timeout_seconds: float) -> Outcome:
    with ControlClient(ControlAddress(pid=pid)) as client:
        return client.ask(command, doing=doing, timeout_seconds=timeout_seconds)
