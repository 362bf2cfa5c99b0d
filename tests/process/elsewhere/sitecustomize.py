"""Takes from this Linux what macOS doesn't have, as far as a program in Python can see it.

In PYTHONPATH, the interpreter imports this module first (site). It shows that the portable ways are taken and work. It
is no macOS: what the kernel there does otherwise stays unknown.
"""

from __future__ import annotations

import asyncio
import ctypes  # noqa: F401  these decide by the platform when they are imported
import errno
import fcntl
import multiprocessing  # noqa: F401
import os
import select
import selectors  # noqa: F401
import signal
import socket
import subprocess  # noqa: F401
import sys

MISSING = {
    asyncio: ("PidfdChildWatcher",),
    fcntl: ("F_ADD_SEALS", "F_SETPIPE_SZ", "F_GETPIPE_SZ"),
    os: (
        "eventfd", "eventfd_read", "eventfd_write", "memfd_create", "waitid", "waitid_result", "P_PID", "P_PIDFD",
        "pidfd_open", "sched_getaffinity", "sched_setaffinity", "splice", "copy_file_range", "posix_fadvise",
        "posix_fallocate", "O_PATH", "O_TMPFILE", "O_DIRECT", "O_NOATIME", "getrandom", "setresuid", "setresgid",
        "getresuid", "getresgid", "pipe2",
    ),
    signal: ("sigtimedwait", "sigwaitinfo", "SIGPWR", "SIGRTMIN", "SIGRTMAX", "SIGSTKFLT"),
    socket: (
        "SO_PEERCRED", "SO_PEERSEC", "SO_PASSCRED", "SO_INCOMING_CPU", "SO_DOMAIN", "SO_PROTOCOL", "SO_MARK",
        "SO_BINDTODEVICE", "SOCK_CLOEXEC", "SOCK_NONBLOCK", "TCP_INFO", "TCP_CORK", "TCP_DEFER_ACCEPT", "TCP_QUICKACK",
        "TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "MSG_NOSIGNAL", "MSG_ERRQUEUE", "MSG_CMSG_CLOEXEC",
    ),
}  # fmt: skip

for module, names in MISSING.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
del select.epoll  # `selectors` has it still: its place is that of kqueue, with which it shares all that is asked of it
sys.platform = "darwin"


def _without_proc(call):
    def guarded(path, *args, **kwargs):
        if isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith("/proc"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return call(path, *args, **kwargs)

    return guarded


import builtins  # noqa: E402  beside what is done with it

builtins.open = _without_proc(builtins.open)
for name in ("open", "listdir", "scandir", "readlink", "stat"):
    setattr(os, name, _without_proc(getattr(os, name)))

_bind, _socketpair = socket.socket.bind, socket.socketpair


def _bind_without_abstract_names(self, address):
    if isinstance(address, (str, bytes)) and address[:1] in ("\0", b"\0"):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return _bind(self, address)


def _socketpair_of_streams(family=None, kind=socket.SOCK_STREAM, proto=0):
    if kind == socket.SOCK_SEQPACKET:
        raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))
    return _socketpair(family, kind, proto)


socket.socket.bind = _bind_without_abstract_names
socket.socketpair = _socketpair_of_streams
