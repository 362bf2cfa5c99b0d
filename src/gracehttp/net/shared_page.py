"""Memory that the supervisor and all workers of a port share: named groups of 64-bit words.

A write of one word is never seen in halves by another process, since the words are aligned. That is all that the
processes rely on: each word has one writer, and the writers' protocols are described where the words are used
(`permits`, `idle_ranking`, `handover_shares`).

A page outlives releases: the supervisor hands it on when it replaces itself, and workers of an older release may still
use it. So groups are only added at the end, a page that is too short for them is made longer, and a word that an older
release never wrote is 0.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
from collections.abc import Mapping

CALL_MISSING = frozenset({errno.ENOSYS, errno.EPERM})
"""The kernel doesn't know the system call, or a sandbox doesn't allow it (seccomp(2))."""
WORD_BYTES = 8
MAX_WORKERS = 512

Layout = Mapping[str, int]
"""The names of the groups, in order, and how many words each has."""

PORT_LAYOUT: Layout = {
    "held": MAX_WORKERS,  # what each worker holds of the permits: shared_permits
    "idle": MAX_WORKERS,  # its longest idle connection: idle_ranking.SharedRanking
    "debts": 1,  # the sequence number of the debt: permits.PermitPool
    "takes": MAX_WORKERS,  # 1 while it takes what older workers hand over: handover_shares.SharedShares
    "leaves": MAX_WORKERS,  # how many connections it had when it began to hand over
}


def anonymous_file(name: str) -> int:
    """An open file without a place in the file system; `name` is for people who look into /proc. Raises `OSError`.

    It needs a folder for temporary files only where the system has no memfd_create(2).
    """
    if hasattr(os, "memfd_create"):
        try:
            return os.memfd_create(f"gracehttp-{name}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError as exc:
            if exc.errno not in CALL_MISSING:
                raise
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _never_shorter(fd: int) -> None:
    """Seal a memfd against that (fcntl(2), F_ADD_SEALS). The system ends a process that reads a page of a file which
    isn't there any more (SIGBUS), and code in a worker must not be able to end the supervisor. Other files can't be
    sealed."""
    if hasattr(fcntl, "F_ADD_SEALS"):
        with contextlib.suppress(OSError):  # another process has sealed it already, or it is no memfd
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)


class SharedPage:
    """The words of an anonymous file. Does not keep `fd`, which stays the caller's."""

    def __init__(self, fd: int, layout: Layout = PORT_LAYOUT) -> None:
        """Makes the file longer if an older release made it for a shorter layout."""
        size = sum(layout.values()) * WORD_BYTES
        if os.fstat(fd).st_size < size:
            os.ftruncate(fd, size)
        _never_shorter(fd)
        self._memory = mmap.mmap(fd, size)
        self._all = memoryview(self._memory).cast("Q")
        self._groups: dict[str, memoryview] = {}
        begin = 0
        for name, count in layout.items():
            self._groups[name] = self._all[begin : begin + count]
            begin += count

    def words(self, name: str) -> memoryview:
        """The group `name`, as integers below 2^64. Of no use after `close`."""
        return self._groups[name]

    def close(self) -> None:
        for group in self._groups.values():
            group.release()
        self._all.release()
        self._memory.close()
