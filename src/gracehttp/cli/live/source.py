"""One look at a service: its status, its metrics, and what happened last."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from gracehttp.cli.control_client import ControlAddress, ControlClient
from gracehttp.cli.live.figures import Samples, read_samples
from gracehttp.errors import CommandFailed
from gracehttp.values import UnreadableValue, Value, from_plain
from gracehttp.wire.control import Outcome, RecentEvent, Status
from gracehttp.wire.json_lines import UnreadableLine, decode_line

ANSWER_SECONDS = 5.0


class Look(Value):
    """`at` is by time.monotonic()."""

    at: float
    status: Status
    samples: Samples
    events: Sequence[RecentEvent]


def look(address: ControlAddress, now: Callable[[], float] = time.monotonic) -> Look:
    """Ask the supervisor. Raises `CommandFailed`."""
    status = _ask(address, "status").status
    if status is None:
        raise CommandFailed("the supervisor sent no status.")
    samples = read_samples(_ask(address, "metrics").details)
    return Look(at=now(), status=status, samples=samples, events=_events(_ask(address, "events").details))


def _ask(address: ControlAddress, command: str) -> Outcome:
    with ControlClient(address) as client:
        reply = client.ask(command, doing=f"telling its {command}", timeout_seconds=ANSWER_SECONDS)
    if not reply.ok:
        raise CommandFailed(reply.message, hint="is its release older than this one?", details=reply.details)
    return reply


def _events(lines: str) -> list[RecentEvent]:
    try:
        return [from_plain(RecentEvent, decode_line(line.encode())) for line in lines.splitlines()]
    except (UnreadableLine, UnreadableValue) as exc:
        raise CommandFailed("the supervisor's events can't be understood.") from exc
