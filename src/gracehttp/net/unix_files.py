"""The files of Unix sockets (unix(7)): binding one with its permissions, and removing one that is left over."""

from __future__ import annotations

import errno
import os
import socket
import stat
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


def own_file(path: str, uid: int, gid: int) -> None:
    """Give the socket at `path` to `uid` and `gid`. Raises `OSError`.

    A user who may write to the folder could put a link to another file there just now, so the descriptor of what was
    found is looked at first (open(2), O_PATH; symlink(7)).
    """
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
        os.chown(f"/proc/self/fd/{fd}", uid, gid)
    finally:
        os.close(fd)


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
