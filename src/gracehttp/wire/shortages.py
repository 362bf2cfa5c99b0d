"""What an error of sendmsg(2) or recvmsg(2) on a Unix socket means: the system is short of something, or the socket is
of no use any more. Pure."""

from __future__ import annotations

import errno

SHORTAGES = frozenset({
    errno.EAGAIN,  # the queue of the socket is full, or empty
    errno.EINTR,
    errno.ENOBUFS, errno.ENOMEM,  # the kernel has no memory for it now
    errno.ETOOMANYREFS,  # too many descriptors of this user are on their way (unix(7))
    errno.EMFILE, errno.ENFILE,  # no descriptor is left
})  # fmt: skip
"""These pass. What was to be sent was not, what was to be received is still there, and another try may succeed."""

GONE = frozenset({errno.EPIPE, errno.ECONNRESET})
"""The other side has closed its end, or died."""


class Patience:
    """How long to try again while a shortage lasts. Times are in seconds, by any monotonic clock.

    After `tell_after` it should be told, once. After `give_up_after` there is no use in waiting.
    """

    SHORTEST_WAIT_SECONDS = 0.01
    LONGEST_WAIT_SECONDS = 0.25

    def __init__(self, tell_after: float, give_up_after: float) -> None:
        self._tell_after = tell_after
        self._give_up_after = give_up_after
        self.succeeded()

    def succeeded(self) -> None:
        """The shortage is over."""
        self._since: float | None = None
        self._told = False
        self._wait = self.SHORTEST_WAIT_SECONDS

    def failed(self, now: float) -> float | None:
        """It was tried in vain at `now`. Returns in how many seconds to try again; None: give up."""
        if self._since is None:
            self._since = now
        elif now - self._since >= self._give_up_after:
            return None
        wait, self._wait = self._wait, min(2 * self._wait, self.LONGEST_WAIT_SECONDS)
        return wait

    def must_be_told(self, now: float) -> bool:
        """Whether the shortage has lasted so long at `now` that it must be told. True once for each shortage."""
        if self._told or self._since is None or now - self._since < self._tell_after:
            return False
        self._told = True
        return True
