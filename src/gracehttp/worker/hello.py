"""What the supervisor must know of the options that a worker was given: parts of its first message.

Imports no protocol code, because the first supervisor reads its own options through this too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from gracehttp.config import ProcessOptions, ServerOptions
from gracehttp.wire.messages import FixedOptions, FleetSettings, ListenRequest


def title_of(process: ProcessOptions, servers: Iterable[ServerOptions]) -> str:
    """What the titles of the processes call this program: the option, else its applications."""
    script = os.path.basename(sys.argv[0])
    names = [server.app if isinstance(server.app, str) else script for server in servers]
    return process.proc_name or ", ".join(dict.fromkeys(names))


def fleet_settings(process: ProcessOptions, hooks: tuple[str, ...] = ()) -> FleetSettings:
    """What a generation with these options wants of its supervisor. `hooks`: see `FleetSettings`."""
    return FleetSettings(
        workers=process.workers,
        ready_timeout_seconds=process.ready_timeout,
        drain_timeout_seconds=process.drain_timeout,
        probation_seconds=process.probation,
        probation_max_errors=process.probation_max_errors,
        stands_by=True,
        stop_delay_seconds=process.stop_delay,
        hang_timeout_seconds=process.hang_timeout,
        hooks=hooks,
    )


def fixed_options(process: ProcessOptions) -> FixedOptions:
    """What the supervisor compares with the options that it keeps for its life."""
    control = process.control and os.path.abspath(process.control)
    return FixedOptions(
        pidfile=process.pidfile and os.path.abspath(process.pidfile),
        control=False if process.no_control else control,
        user=process.user,
        group=process.group,
        admin=process.admin,
        agent_check=process.agent_check,
        metrics=process.metrics,
    )


def listen_requests(servers: Iterable[ServerOptions]) -> tuple[ListenRequest, ...]:
    """The listeners that these servers need, in their order."""
    return tuple(
        ListenRequest(
            address=str(server.bind.address),
            backlog=server.backlog,
            max_connections=server.max_connections,
            unix_mode=server.unix_mode,
            tcp_keepalive_seconds=server.tcp_keepalive,
            takes_tls=server.tls and server.tls_handover,
            tls=server.tls,
        )
        for server in servers
    )
