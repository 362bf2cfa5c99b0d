"""Listeners that the service manager keeps for us (FDSTORE=1): their queues live on when the supervisor is killed.

The manager passes them to the next supervisor, each with the name that it was given. That is the address, percent-
encoded because a name has no colon (sd_pid_notify_with_fds(3)).
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import quote, unquote

from gracehttp.net.syn_filter import admit_new_connections

_PREFIX: Final = "gracehttp-"
_LONGEST_NAME: Final = 255

SendDescriptors = Callable[..., None]
"""See `NotifySocket.send`."""


class ListenerStore:
    """Keeps the listeners of one supervisor, if `send` is given, and has those that an earlier one left."""

    def __init__(self, send: SendDescriptors | None, passed: Iterable[tuple[str, int]] = ()) -> None:
        """`passed`: as `net.activation.passed_descriptors`. Those with names of ours are owned from now on."""
        self._send = send
        self._left: dict[str, list[int]] = {}
        for name, fd in passed:
            if not name.startswith(_PREFIX):
                continue
            with contextlib.suppress(OSError):
                if os.get_inheritable(fd):  # what this process has opened itself isn't (PEP 446)
                    os.set_inheritable(fd, False)
                    self._left.setdefault(unquote(name.removeprefix(_PREFIX)), []).append(fd)

    @property
    def keeps(self) -> bool:
        """Whether listeners are kept."""
        return self._send is not None

    def claim(self, address: str) -> socket.socket | None:
        """The listener at `address` that an earlier supervisor left; it admits connections. None if there is none."""
        for fd in self._left.pop(address, ()):
            try:
                sock = socket.socket(fileno=fd)
            except OSError:
                continue
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and _is_reachable(sock):
                admit_new_connections(sock)
                sock.setblocking(False)
                return sock
            sock.close()
        return None

    def keep(self, address: str, listener: socket.socket) -> bool:
        """Give a copy of `listener` to the manager. Returns whether it will be kept."""
        name = _name(address)
        if self._send is None or len(name) > _LONGEST_NAME:
            return False
        self._send("FDSTORE=1", f"FDNAME={name}", descriptors=(listener.fileno(),))
        return True

    def remove(self, address: str) -> None:
        """The listener at `address` ends: its queue must not live on."""
        if self._send is not None:
            self._send("FDSTOREREMOVE=1", f"FDNAME={_name(address)}")

    def forget_the_rest(self) -> list[str]:
        """Close what an earlier supervisor left and the code that serves now doesn't use. Returns the addresses."""
        left, self._left = self._left, {}
        for address, descriptors in left.items():
            self.remove(address)
            for fd in descriptors:
                with contextlib.suppress(OSError):
                    os.close(fd)
        return list(left)


def _name(address: str) -> str:
    return _PREFIX + quote(address, safe="")


def _is_reachable(sock: socket.socket) -> bool:
    """A Unix socket whose file is gone is no use to a client."""
    return sock.family != socket.AF_UNIX or os.path.exists(os.fsdecode(sock.getsockname()))
