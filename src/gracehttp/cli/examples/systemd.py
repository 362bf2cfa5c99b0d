"""A unit of systemd."""

from __future__ import annotations

from gracehttp.cli.examples.service import Service
from gracehttp.net.address import UnixAddress

_WATCHDOG_SECONDS = 30
_FIRST_OPEN_PORT = 1024
"""From here on, any user may listen (ip(7))."""


def unit(service: Service) -> str:
    folders = sorted(
        {
            server.bind.address.path.split("/")[2]
            for server in service.configuration.servers
            if isinstance(server.bind.address, UnixAddress) and server.bind.address.path.startswith("/run/")
        }
    )
    account = _account(service)
    runtime = f"RuntimeDirectory={' '.join(folders)}\n" if folders else ""
    return f"""\
# /etc/systemd/system/{service.name}.service
[Unit]
Description={service.app or service.name}, served by gracehttp
Wants=network-online.target
After=network-online.target

[Service]
# The start is over when the first generation serves. From systemd 253 on, Type=notify-reload instead of ExecReload=
# reloads too, but can't report a reload that failed: gracehttp restart can.
Type=notify
NotifyAccess=main
{account}WorkingDirectory={service.directory}
ExecStart={_escaped(service.command())}
ExecReload={service.program} restart --pid $MAINPID
# TERM goes to the supervisor alone: programs that the application has started are needed until the drain is over.
KillMode=mixed
# A worker and then its siblings may take ready_timeout each.
TimeoutStartSec={service.start_seconds}
# stop_delay + drain_timeout + 10 s for the lifespan shutdown + 5 s to spare.
TimeoutStopSec={service.stop_seconds}
Restart=on-failure
# 2 is a mistake in the options: it stays one.
RestartPreventExitStatus=2
WatchdogSec={_WATCHDOG_SECONDS}
# The listening sockets are kept here, so that clients wait in their queues when even the supervisor is killed. Before
# systemd 254 that needs --fd-store on.
FileDescriptorStoreMax=16
LimitNOFILE=65536
{runtime}NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full

[Install]
WantedBy=multi-user.target
"""


def _account(service: Service) -> str:
    """The user of the supervisor: root, if workers must become another user, which only root can arrange
    (credentials(7)); else the user, with the one right that ports below 1024 need (capabilities(7))."""
    process = service.configuration.process
    if process.user is not None or process.group is not None:
        return "# No User=: the supervisor stays root, so that its workers can become the user of the options.\n"
    ports = [*service.ports, service.admin_port, service.agent_port]
    lines = f"User={service.user}\n"
    if any(port is not None and port < _FIRST_OPEN_PORT for port in ports):
        lines += "# For ports below 1024.\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n"
    return lines


def _escaped(command: str) -> str:
    """In a unit, `%` begins a specifier, and `$` a variable (systemd.unit(5), systemd.service(5))."""
    return command.replace("%", "%%").replace("$", "$$")
