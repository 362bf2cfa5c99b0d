"""What a supervisor is told by those that start it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gracehttp.supervisor.endpoints.addresses import AddressOptions
from gracehttp.supervisor.fleet import FleetSettings
from gracehttp.supervisor.processes.command_line import CommandLine
from gracehttp.system.credentials import Credentials
from gracehttp.values import Value

if TYPE_CHECKING:
    from gracehttp.supervisor.reloading.reloader import ReloadSettings


class SupervisorOptions(Value):
    """What holds for the life of the supervisor. `control` is a path; None is the abstract name, False no socket.

    A supervisor that goes on for another one keeps that one's pidfile and control socket, whatever these options say.
    """

    release: str
    command_line: CommandLine
    fleet: FleetSettings
    addresses: AddressOptions = AddressOptions()
    fd_store: str = "auto"
    pidfile: str | None = None
    control: str | bool | None = None
    log_is_json: bool = False
    errors_are_logged: bool = True
    user: str | None = None
    group: str | None = None
    credentials: Credentials | None = None
    """What workers become, of `user` and `group`. The supervisor stays what it is."""
    tls_files: tuple[str, ...] = ()
    """The absolute paths of the files of TLS that may be read for them."""
    reload: ReloadSettings | None = None
