"""The files of Unix sockets (unix(7)): binding one with its permissions, and removing one that is left over."""

from __future__ import annotations

import os
import socket
from pathlib import Path

MOST_PATH_BYTES = 107
"""sun_path of unix(7) holds 108 bytes, one of them the final null byte."""


def bind_file(sock: socket.socket, path: str, mode: int | None = None) -> None:
    """Bind `sock` to `path`; the file has the permissions `mode`, or those of the umask. Raises `OSError`."""
    if mode is None:
        sock.bind(path)
        return
    # The mode must hold from the first moment: a chmod() after bind() would leave a gap (unix(7)).
    before = os.umask(0o777 & ~mode)
    try:
        sock.bind(path)
    finally:
        os.umask(before)


def remove_stale_file(path: str) -> None:
    """Remove the socket at `path` if no process listens on it any more. Other files stay.

    Raises `OSError` if that can't be found out or done.
    """
    if not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
        except BlockingIOError:
            pass  # a process listens, and its queue is full (connect(2))
