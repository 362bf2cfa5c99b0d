"""All that a supervisor knows and holds, in a form that another release of it can read.

    {"format": 1, "release": "0.1.0", ...}

Old and new may be different releases, in both directions. Within a format, a release may add fields that have a
default, and must bear fields that it doesn't know; whatever else changes is a new format. A supervisor that finds a
format that it doesn't read says so in its trial, and the old one stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from gracehttp.errors import StartError
from gracehttp.supervisor.certificates.watch import CertificatesRecord
from gracehttp.supervisor.control.socket import ControlRecord
from gracehttp.supervisor.endpoints.addresses import AddressesRecord
from gracehttp.supervisor.fleet import FleetMemory
from gracehttp.supervisor.listeners.queues import QueueRecord
from gracehttp.supervisor.listeners.table import TableRecord
from gracehttp.supervisor.metrics.facts import FactsRecord
from gracehttp.supervisor.metrics.pages import PagesRecord
from gracehttp.supervisor.pidfile import PidFileRecord
from gracehttp.supervisor.processes.workers import ProcessesRecord
from gracehttp.values import UnreadableValue, Value, from_plain, to_plain
from gracehttp.wire.control import Outcome

FORMAT = 1
"""What this release writes."""
FORMATS_READ = (1,)


class UnreadableState(StartError):
    """Another supervisor left a state that this release can't go on with."""


class MetricsRecord(Value):
    """What was counted, by workers and by the supervisor."""

    pages: PagesRecord = PagesRecord()
    facts: FactsRecord = FactsRecord()


class SupervisorState(Value):
    """Times are by CLOCK_MONOTONIC, which is the same for every program on the machine (clock_gettime(2)). So what is
    due at a time of the old image's loop is due at the same time of the new one's."""

    release: str
    source: str
    """The signal or client that asked for the replacement."""
    started_at: float
    fleet: FleetMemory
    processes: ProcessesRecord
    listeners: TableRecord
    queues: Mapping[int, tuple[QueueRecord, ...]]
    """The handover queues, by the number of their listener."""
    pidfile: PidFileRecord | None
    control: ControlRecord | None
    last_outcome: Outcome | None
    certificates: CertificatesRecord | None = None
    addresses: AddressesRecord = AddressesRecord()
    log_records_dropped: int = 0
    """They still waited for the reader of standard error when the old image ended. The next record tells it."""
    metrics: MetricsRecord | None = None
    hook_events: str = ""
    """The lines of events that the process of the hooks has not taken yet."""


def encode(state: SupervisorState) -> bytes:
    return json.dumps({"format": FORMAT, **to_plain(state)}, separators=(",", ":")).encode()


def decode(data: bytes, *, release: str) -> SupervisorState:
    """The state that `encode` of this release, or of another one, wrote. `release` is ours, for the error.

    Raises `UnreadableState` with one sentence.
    """
    try:
        plain = json.loads(data)
        written, author = int(plain["format"]), str(plain["release"])
    except (ValueError, KeyError, TypeError) as exc:
        raise UnreadableState(f"gracehttp {release} finds no state of a supervisor, but {data[:40]!r}.") from exc
    if written not in FORMATS_READ:
        read = ", ".join(map(str, FORMATS_READ))
        raise UnreadableState(
            f"gracehttp {release} can't go on for a supervisor of gracehttp {author}: "
            f"that writes its state in format {written}, and this release reads format {read}.",
            hint="stop the service and start it with this release; or take a release between the two first",
        )
    try:
        return from_plain(SupervisorState, plain)
    except UnreadableValue as exc:
        raise UnreadableState(
            f"gracehttp {release} can't read the state that the supervisor of gracehttp {author} wrote ({exc})."
        ) from exc
