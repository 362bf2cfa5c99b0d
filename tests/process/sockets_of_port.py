"""What the kernel knows of the connections of one port (proc_net_tcp(5))."""

from __future__ import annotations

from pathlib import Path

_ESTABLISHED = "01"
_LISTEN = "0A"
_TIME_WAIT = "06"


def accepted(port):
    """The inodes of the connections that some process has accepted and not closed, seen in one pass.

    A connection in the accept queue belongs to no process yet, so its inode is 0; so is that of one that was closed.
    """
    return {inode for _peer, state, inode in _sockets(port) if inode and state not in (_LISTEN, _TIME_WAIT)}


def waiting(port):
    """How many connections wait in the accept queue: established, and accepted by nobody."""
    return len({peer for peer, state, inode in _sockets(port) if state == _ESTABLISHED and not inode})


def accepted_at_one_moment(port):
    """A number of connections that were certainly open at the same moment.

    The kernel's table is read in pieces, so connections that come and go meanwhile could be counted although they
    were never open together. Who is there in two passes was there between them.
    """
    return len(accepted(port) & accepted(port))


def _sockets(port):
    """Peer, state and inode of our side of each connection of `port`.

    While other connections come and go, the kernel may show one twice, and leave one out.
    """
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port:
            yield fields[2], fields[3], int(fields[9])
