"""Run a command as root of a user namespace, for tests that only root can run.

    python tests/as_root.py .venv/bin/pytest tests/process/test_privileges.py

It has a network of its own, with loopback alone, so that ports below 1024 may be bound. Needs Linux with user
namespaces (user_namespaces(7)), newuidmap (Debian: uidmap), and 65536 IDs for who runs it in /etc/subuid and
/etc/subgid: the tests become other users, for which more IDs are needed than one's own.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys

UNSHARE = ("unshare", "--map-root-user", "--map-auto", "--net", "--")
SIOCSIFFLAGS = 0x8914  # netdevice(7)
IFF_UP = 1


def set_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def main(arguments: list[str]) -> None:
    if arguments[:1] != ["--inside"]:
        os.execvp(UNSHARE[0], [*UNSHARE, sys.executable, __file__, "--inside", *arguments])
    set_loopback_up()
    os.execvp(arguments[1], arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
