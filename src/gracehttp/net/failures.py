"""What an error of a system call means for a connection: one table for all calls that `net` makes. Pure.

Two rules stand behind it. An error that passes is waited out only where something tells when it is over, or where the
next try has its time. A shortage of memory is neither: it costs the connection, at once, and the log tells it (promise
7). And what fails on the way to a close changes nothing: close(2) follows, and releases the descriptor even when it
fails.

| call | error | meaning |
|---|---|---|
| accept4 | see `ACCEPT_NEXT` | that connection died in the queue: accept the next one |
| | all others: EMFILE, ENFILE, ENOBUFS, ENOMEM | pause accepting, 0.1 s up to 1 s; told once |
| epoll_ctl ADD | ENOSPC, ENOMEM | a new connection is closed, its permit is free, told; accepting pauses |
| | | one that comes back from a handover is closed, told |
| epoll_ctl MOD | ENOMEM | the connection would hang, or spin: it is closed, told |
| epoll_ctl DEL | any | before a close: nothing, close(2) does the same |
| | | before a handover: the connection stays here |
| epoll_wait | EINTR | the interpreter repeats it (PEP 475) |
| | any | the turn is left out; after `poller.LONGEST_FAILURE_SECONDS` the process ends, told |
| recv, send, sendmsg | EAGAIN, EINTR | the poller tells when |
| | see `CLIENT_IS_GONE` | the connection is over, which is no news |
| | all others: ENOBUFS, ENOMEM | the connection is closed, told |
| shutdown | ENOTCONN, any | nothing: a close follows, at the latest when the linger deadline is reached |
| setsockopt SO_LINGER | any | nothing: the kernel has no reason to refuse it for an open socket (socket(7)) |
| getsockname | ENOBUFS | a new connection is closed, told |
| close | EINTR, EIO | nothing: the descriptor is released (close(2)) |
"""

from __future__ import annotations

import errno
from typing import Final

ACCEPT_NEXT: Final = frozenset({
    errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENETDOWN, errno.ENOPROTOOPT, errno.EHOSTDOWN,
    getattr(errno, "ENONET", errno.EHOSTDOWN), errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH, errno.EINTR,
})  # fmt: skip
"""The connection died in the queue, or the network failed before it was established (accept(2)). Everything else is a
fact about this process or machine, not about the listener: closing that would drop the queue, and trying at once would
spin."""

CLIENT_IS_GONE: Final = frozenset({
    errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ETIMEDOUT, errno.ENOTCONN, errno.ESHUTDOWN,
    errno.ECONNREFUSED, errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH,
    errno.EPROTO, errno.EACCES, errno.EPERM,
})  # fmt: skip
"""What the network, a firewall or the client has to say when a connection is over (tcp(7), ip(7), icmp(7))."""
