"""`gracehttp status`: what runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence

import click

from gracehttp.cli.control_client import ControlAddress, ControlClient
from gracehttp.cli.target import read_duration, targeted
from gracehttp.config.units import format_duration
from gracehttp.console import echo
from gracehttp.errors import CommandFailed, StillUnderWay
from gracehttp.values import to_plain
from gracehttp.wire.control import CertificateStatus, GenerationStatus, ListenerStatus, RestartStatus, Status


@click.command()
@targeted
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, on one line.")
@click.option(
    "--timeout",
    metavar="DURATION",
    callback=read_duration,
    default="10s",
    show_default=True,
    help="Wait no longer than this.",
)
def status(address: ControlAddress, as_json: bool, timeout: float) -> None:
    """Show what runs, and how many connections are open. The exit status is 1 if no worker serves.

    \b
    gracehttp status --pidfile app.pid
    gracehttp status --pid 4711 --json
    gracehttp status -c gracehttp.toml
    """
    with ControlClient(address) as client:
        try:
            reply = client.ask("status", doing="telling its status", timeout_seconds=timeout)
        except StillUnderWay as exc:
            raise CommandFailed(
                f"the supervisor at {address} does not answer.", hint="its log may tell why; signals may still reach it"
            ) from exc
    if not reply.ok or reply.status is None:
        raise CommandFailed(reply.message or "the supervisor sent no status.", details=reply.details)
    echo(json.dumps(to_plain(reply.status)) if as_json else "\n".join(report(reply.status)))
    if not serves(reply.status):
        raise CommandFailed("no worker serves.", hint="its log tells why")


def serves(status: Status) -> bool:
    """Whether any worker accepts connections."""
    return any(worker.state == "serving" for one in status.generations for worker in one.workers)


def report(status: Status) -> list[str]:
    """The lines that show `status`."""
    uptime = format_duration(int(status.uptime_seconds))
    build = f", {status.build}" if status.build else ""
    lines = [f"gracehttp {status.version}{build}, pid {status.pid}, up {uptime}", ""]
    lines += table(
        ("LISTENER", "BOUND", "OPEN", "LIMIT"),
        [
            (one.address, _bound(one), _number(one.open_connections), _number(one.max_connections))
            for one in status.listeners
        ],
    )
    lines.append("")
    if status.certificates:
        lines += table(("CERTIFICATE", "NAMES", "EXPIRES"), map(_certificate, status.certificates))
        lines.append("")
    head = ("GENERATION", "STATE", "WORKER", "PID", "WORKER STATE", "OPEN", "BUILD")
    lines += _without_empty(head, [row for one in status.generations for row in _processes(one)])
    last = status.last_restart
    if last is not None:
        lines += ["", f"last restart: {'done' if last.ok else 'failed'}, {last.message}{_origin(last)}"]
    return lines


def _bound(listener: ListenerStatus) -> str:
    return f"https://{listener.bound}" if listener.tls else listener.bound


def _certificate(certificate: CertificateStatus) -> Sequence[str]:
    date = time.strftime("%Y-%m-%d", time.gmtime(certificate.not_after))
    left = certificate.days_left
    when = f"{date}, in {left} day{'' if left == 1 else 's'}" if left >= 0 else f"{date}, is over"
    more = f" and {len(certificate.names) - 3} more" if len(certificate.names) > 3 else ""
    return certificate.path, ", ".join(certificate.names[:3]) + more, when


def _origin(last: RestartStatus) -> str:
    """When it was, and who asked for it."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(last.ended_at)) if last.ended_at else ""
    known = [one for one in (when, last.source and f"requested by {last.source}") if one]
    return f" ({', '.join(known)})" if known else ""


def _processes(generation: GenerationStatus) -> Iterable[Sequence[str]]:
    which = (str(generation.generation), _state(generation))
    if generation.template:
        yield (*which, "template", _number(generation.template), "waiting", "", "")
    for worker in generation.workers:
        state = _words(worker.state) + (", other code" if worker.other_code else "")
        build = worker.build.partition(" ")[0]
        opened = "" if worker.connections is None else str(worker.connections)
        yield (*which, str(worker.worker), _number(worker.pid), state, opened, build)
    starts = [f"starts in {seconds:.1f} s" for seconds in generation.starts_in_seconds]
    if not generation.workers and generation.state == "serving":
        starts = [f"none runs, the next one {starts[0]}", *starts[1:]] if starts else ["none runs"]
    for start in starts:
        yield (*which, "-", "-", start, "", "")


def _without_empty(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table without the columns that are empty: of what the supervisor doesn't know, or doesn't tell because it is of
    an older release."""
    kept = [column for column in range(len(head)) if any(row[column] for row in rows)]
    return table([head[column] for column in kept], [[row[column] for column in kept] for row in rows])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines with aligned columns."""
    every = [head, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in every]


def _state(generation: GenerationStatus) -> str:
    left = generation.probation_seconds_left
    state = _words(generation.state)
    return state if left is None else f"{state}, on probation for {left:.0f} s more"


def _words(state: str) -> str:
    return state.replace("_", " ")


def _number(value: object) -> str:
    return "-" if value is None else str(value)
