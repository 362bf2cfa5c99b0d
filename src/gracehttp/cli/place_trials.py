"""Trials of `gracehttp check` for places that a service takes: what is wrong with them without taking them."""

from __future__ import annotations

import os

from gracehttp.address import Address
from gracehttp.events import ControlUnavailable


class PidFileTrial:
    """Whether the pidfile can be written. One that a running supervisor holds is right for a restart."""

    def __init__(self, path: str) -> None:
        self._path = path

    def run(self) -> str:
        from gracehttp.supervisor.pidfile import look_at  # help must not wait for the server's modules

        pid = look_at(self._path)
        if pid is None or not _runs(pid):
            return f"pidfile {self._path}"
        note = f"pid {pid} runs; if that is a supervisor, restart is right, and serve is refused"
        return f"pidfile {self._path} ({note})"


class ControlTrial:
    """Whether there can be a control socket at a path. If not, that is only noted: the service starts without it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def note(self) -> str:
        """What is wrong, as the log would say it; "" if nothing is."""
        from gracehttp.supervisor.control.socket import obstacle  # help must not wait for the server's modules

        reason = obstacle(self._path)
        return str(ControlUnavailable(self._path, reason)) if reason else ""

    def run(self) -> str:
        return f"control socket {self._path}"


class AddressTrial:
    """Whether an address can be understood here. Whether its port is free isn't tried."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def run(self) -> str:
        from gracehttp.listeners.bind import look_at  # help must not wait for the server's modules

        note = look_at(self._address)
        return f"address {self._address}" + (f" ({note})" if note else "")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
