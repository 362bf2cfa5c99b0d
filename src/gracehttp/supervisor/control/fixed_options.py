"""The options that a supervisor keeps for its life, whatever new code is given. Pure."""

from __future__ import annotations

from gracehttp.events import OptionIgnored
from gracehttp.supervisor.control.socket import ControlSocket
from gracehttp.supervisor.endpoints.addresses import Addresses
from gracehttp.supervisor.pidfile import PidFile
from gracehttp.wire.messages import FixedOptions


def kept(
    pidfile: PidFile | None,
    control: ControlSocket | None,
    addresses: Addresses,
    *,
    user: str | None = None,
    group: str | None = None,
) -> FixedOptions:
    """The options as the supervisor keeps them."""
    return FixedOptions(
        pidfile=str(pidfile.path) if pidfile is not None else None,
        control=control.path if control is not None else False,
        user=user,
        group=group,
        admin=addresses.of("admin"),
        agent_check=addresses.of("agent_check"),
        metrics=addresses.of("metrics"),
    )


def ignored(wanted: FixedOptions, kept: FixedOptions) -> list[OptionIgnored]:
    """An event for each option that new code is given otherwise than it is kept."""
    given = wanted.fields()
    return [
        OptionIgnored(name, _shown(name, given[name]), _shown(name, value))
        for name, value in kept.fields().items()
        if given[name] != value
    ]


def _shown(name: str, value: str | bool | None) -> str:
    if isinstance(value, str):
        return value
    return "the abstract name" if name == "control" and value is None else "none"
