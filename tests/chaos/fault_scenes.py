"""Which call of which process fails, how, and when: a scene, made of a number. Pure."""

from __future__ import annotations

import errno
import os
import random
from dataclasses import dataclass

from failing_calls import SHORT


@dataclass(frozen=True)
class Scene:
    """`skip` of the calls pass, then `times` of them fail, in the process `role` of the service."""

    seed: int
    loop: str
    preload: bool
    role: str
    moment: str
    call: str
    kind: str
    error: str
    skip: int
    times: int

    @property
    def number(self):
        """Of the error, or `SHORT`."""
        return SHORT if self.error == SHORT else getattr(errno, self.error)

    @property
    def client_is_gone(self):
        """Whether the error says that the client of a connection is gone. No server can tell that it isn't true."""
        return self.kind == "tcp" and self.error in _GONE

    def __str__(self):
        how = "is short" if self.error == SHORT else f"fails with {self.error} ({os.strerror(self.number)})"
        times = f" {self.times} times" if self.times > 1 else ""
        preload = ", preload" if self.preload else ""
        return (
            f"--seed {self.seed}: {self.call} on {self.kind} number {self.skip + 1} of the {self.role} "
            f"(armed while {self.moment}) {how}{times}; {self.loop}{preload}"
        )


_GONE = frozenset({"ECONNRESET", "EPIPE", "ETIMEDOUT", "ENOTCONN"})
_PASSING = ("EAGAIN", "EINTR", SHORT)
_NO_FILES = ("EMFILE", "ENFILE")
_NO_MEMORY = ("ENOMEM", "ENOBUFS")

# A call, what it acts on, about how many of them a scene has, and what it can give on Linux by its man page. EAGAIN is
# given only where the descriptor doesn't block.
_CONNECTIONS = [
    ("recv", "tcp", 100, ("EAGAIN", "EINTR", SHORT, "ENOMEM", "ECONNRESET", "ETIMEDOUT")),
    ("send", "tcp", 100, (*_PASSING, *_NO_MEMORY, "ECONNRESET", "EPIPE")),
    ("shutdown", "tcp", 50, ("ENOTCONN",)),
    ("getsockname", "tcp", 50, ("ENOBUFS",)),
    ("accept", "tcp", 50, ("EAGAIN", "EINTR", "ECONNABORTED", "EPERM", "EPROTO", *_NO_FILES, *_NO_MEMORY)),
    ("epoll_ctl", "tcp", 50, ("ENOMEM", "ENOSPC")),
    ("eventfd_read", "other", 50, ("EAGAIN",)),
    ("poll", "nothing", 100, ("EINTR", "ENOMEM")),
    ("epoll_wait", "nothing", 100, ("EINTR",)),
    ("mmap", "nothing", 1, ("ENOMEM",)),
]
_LOOP = [
    ("epoll_wait", "nothing", 15, ("EINTR",)),
    ("recv", "unix_stream", 6, ("EAGAIN", "EINTR")),  # what wakes the loop up; asyncio tells of any other error
    ("write", "unix_stream", 2, ("EAGAIN", "ENOMEM", "ENOBUFS")),
    ("write", "pipe", 5, _PASSING),
]
_CHANNELS = [
    ("recvmsg", "unix_stream", 14, ("EAGAIN", "EINTR", SHORT, *_NO_MEMORY)),
    ("send", "unix_stream", 7, (*_PASSING, *_NO_MEMORY)),
    ("sendmsg", "unix_stream", 5, (*_PASSING, *_NO_MEMORY, "ETOOMANYREFS")),
]
_BIRTHS = [
    ("epoll_ctl", "unix_stream", 2, ("ENOMEM", "ENOSPC")),
    ("epoll_ctl", "pipe", 2, ("ENOMEM", "ENOSPC")),
    ("fork", "nothing", 2, ("EAGAIN", "ENOMEM")),
    ("pipe", "nothing", 2, _NO_FILES),
    ("socketpair", "nothing", 2, (*_NO_FILES, *_NO_MEMORY)),
    ("read", "pipe", 2, _PASSING),
    ("wait", "nothing", 8, ("EINTR",)),
]
_BOOKS = [
    ("open", "nothing", 8, (*_NO_FILES, "ENOMEM", "EINTR")),
    ("read", "file", 8, ("EINTR", "EIO", SHORT)),
    ("poll", "nothing", 2, ("EINTR", "ENOMEM")),
    ("getsockname", "tcp", 2, ("ENOBUFS",)),
]
_ORDERS = [(call, kind, 1, errors) for call, kind, _, errors in _CHANNELS]
_DEPARTURES = [
    ("sendmsg", "unix_seqpacket", 2, ("EAGAIN", "EINTR", *_NO_MEMORY, "ETOOMANYREFS")),
    ("recvmsg", "unix_stream", 1, ("EAGAIN", "EINTR", SHORT, *_NO_MEMORY)),
    ("send", "unix_stream", 1, (*_PASSING, *_NO_MEMORY)),
]
_ARRIVALS = [
    ("recvmsg", "unix_seqpacket", 3, ("EAGAIN", "EINTR", *_NO_MEMORY)),
    ("epoll_ctl", "unix_seqpacket", 1, ("ENOMEM", "ENOSPC")),
    ("epoll_ctl", "tcp", 12, ("ENOMEM", "ENOSPC")),
    ("getpeername", "tcp", 12, ("ENOTCONN", "ENOBUFS")),
    ("getsockname", "tcp", 12, ("ENOBUFS",)),
    ("dup", "nothing", 40, ("EMFILE",)),
    ("open", "nothing", 3, (*_NO_FILES, "ENOMEM", "EINTR")),
]
_SET_UP = [
    ("open", "nothing", 100, (*_NO_FILES, "ENOMEM", "EINTR")),
    ("read", "file", 100, ("EINTR", "EIO", SHORT)),
    ("dup", "nothing", 10, ("EMFILE",)),
    ("mmap", "nothing", 10, ("ENOMEM",)),
    ("epoll_create", "nothing", 2, (*_NO_FILES, "ENOMEM")),
    ("eventfd", "nothing", 1, (*_NO_FILES, "ENOMEM")),
    ("memfd_create", "nothing", 1, (*_NO_FILES, "ENOMEM")),
    ("thread", "nothing", 1, ("EAGAIN",)),
    ("epoll_ctl", "any", 5, ("ENOMEM", "ENOSPC")),
    ("getsockname", "tcp", 3, ("ENOBUFS",)),
]
_REPLACEMENT = [
    ("execve", "nothing", 1, ("ENOMEM", "EAGAIN", "EIO", "ENFILE")),
    ("memfd_create", "nothing", 2, (*_NO_FILES, "ENOMEM")),
    ("write", "file", 2, ("ENOSPC", "EIO", SHORT)),
    ("read", "pipe", 2, _PASSING),
    ("fork", "nothing", 1, ("EAGAIN", "ENOMEM")),
    ("pipe", "nothing", 2, _NO_FILES),
    ("epoll_ctl", "pipe", 1, ("ENOMEM", "ENOSPC")),
    ("open", "nothing", 1, (*_NO_FILES, "ENOMEM")),
]
_CONTROL = [
    ("accept", "unix_stream", 1, ("EAGAIN", "EINTR", "ECONNABORTED", *_NO_FILES, *_NO_MEMORY)),
    ("recv", "unix_stream", 2, ("EAGAIN", "EINTR", SHORT, "ENOMEM", "ECONNRESET")),
    ("send", "unix_stream", 2, (*_PASSING, *_NO_MEMORY, "EPIPE")),
    ("epoll_ctl", "unix_stream", 2, ("ENOMEM", "ENOSPC")),
]

FAULTS = {
    # Of the supervisor: the restart from its first moment on, or when the first new worker is ready; when it replaces a
    # worker that was killed; when it starts one more; when it replaces itself; when it is asked how it is.
    ("supervisor", "restarting"): [*_CHANNELS, *_CHANNELS, *_BIRTHS, *_BOOKS, *_LOOP],
    ("supervisor", "promoting"): [*_CHANNELS, *_LOOP],
    ("supervisor", "mending"): [*_CHANNELS, *_BIRTHS, *_BOOKS, *_LOOP],
    ("supervisor", "scaling"): [*_CHANNELS, *_BIRTHS, *_BOOKS],
    ("supervisor", "replacing"): [*_REPLACEMENT, *_LOOP],
    ("supervisor", "answering"): _CONTROL,
    # Of a worker of the first generation; the restart, too, from its first moment or when the new worker is ready.
    ("worker", "serving"): _CONNECTIONS,
    ("worker", "restarting"): [*_CONNECTIONS, *_DEPARTURES, *_DEPARTURES],
    ("worker", "draining"): _DEPARTURES,
    # Of the first worker of the second generation: from its first word on, or when it is ready.
    ("newcomer", "starting"): [*_CHANNELS, *_SET_UP],
    ("newcomer", "ready"): [*_ARRIVALS, *_ARRIVALS, *_ORDERS, *_CONNECTIONS],
    # Of the process that the others of the second generation are forked from.
    ("template", "restarting"): [*_ORDERS, *_BIRTHS],
}
_OFTEN = ("supervisor", "supervisor", "worker", "newcomer")


def scene_of(seed):
    """The scene that this number stands for."""
    chance = random.Random(seed)
    preload = chance.random() < 0.3
    role = "template" if preload and chance.random() < 0.2 else chance.choice(_OFTEN)
    role, moment = chance.choice([place for place in FAULTS if place[0] == role])
    call, kind, most, errors = chance.choice(FAULTS[role, moment])
    error = chance.choice(errors)
    if error == "EINTR" and chance.random() < 0.8:  # the interpreter itself makes most of these calls again (PEP 475)
        error = chance.choice(errors)
    return Scene(
        seed=seed,
        loop=chance.choice(("uvloop", "asyncio")),
        preload=preload,
        role=role,
        moment=moment,
        call=call,
        kind=kind,
        error=error,
        skip=chance.randrange(chance.choice((1, min(most, 3), most))),
        times=chance.choice((1, 1, 1, 2, 5)),
    )
