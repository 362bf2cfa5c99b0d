"""The pidfile and the control socket, which a supervisor keeps for its life whatever new code asks for. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gracehttp.events import OptionIgnored
from gracehttp.supervisor.control import ControlSocket
from gracehttp.supervisor.pidfile import PidFile

Place = str | bool | None
"""An absolute path; None: the default; False: none at all."""


def kept_places(pidfile: PidFile | None, control: ControlSocket | None) -> dict[str, Place]:
    """Where they are, by the names of the options."""
    return {
        "pidfile": str(pidfile.path) if pidfile is not None else None,
        "control": control.path if control is not None else False,
    }


def ignored(wanted: Mapping[str, Place], kept: Mapping[str, Place]) -> list[OptionIgnored]:
    """A fact for each option that new code wants to be otherwise than it is kept, by the names of the options."""
    return [
        OptionIgnored(name, _shown(name, wanted[name]), _shown(name, place))
        for name, place in kept.items()
        if name in wanted and wanted[name] != place
    ]


def _shown(name: str, place: Place) -> str:
    if isinstance(place, str):
        return place
    return "the abstract name" if name == "control" and place is None else "none"
