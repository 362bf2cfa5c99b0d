"""What the supervisor must know of the options that a worker was given: parts of its first message.

Imports no protocol code, because the first supervisor reads its own options through this too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from gracehttp.config import ProcessOptions, ServerOptions
from gracehttp.wire.messages import FixedOptions, FleetSettings, ListenRequest


def fleet_settings(process: ProcessOptions) -> FleetSettings:
    """What a generation with these options wants of its supervisor."""
    return FleetSettings(
        workers=process.workers,
        ready_timeout_seconds=process.ready_timeout,
        drain_timeout_seconds=process.drain_timeout,
        probation_seconds=process.probation,
        probation_max_errors=process.probation_max_errors,
        stands_by=True,
    )


def fixed_options(process: ProcessOptions) -> FixedOptions:
    """What the supervisor compares with the options that it keeps for its life."""
    control = process.control and os.path.abspath(process.control)
    return FixedOptions(
        pidfile=process.pidfile and os.path.abspath(process.pidfile),
        control=False if process.no_control else control,
    )


def listen_requests(servers: Iterable[ServerOptions]) -> tuple[ListenRequest, ...]:
    """The listeners that these servers need, in their order."""
    return tuple(
        ListenRequest(
            address=str(server.bind.address),
            backlog=server.backlog,
            max_connections=server.max_connections,
            unix_mode=server.unix_mode,
            tls=server.tls,
        )
        for server in servers
    )
