"""What the kernel knows of the connections of one port, by sock_diag(7).

/proc/net/tcp tells the same, but among thousands of closed connections that other tests have left behind (TIME_WAIT)
it takes too long to look often.
"""

from __future__ import annotations

import socket
import struct
import sys

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST_DUMP = 0x301
_NLMSG_DONE = 3

_ESTABLISHED = 1
_LISTEN = 1 << 10
_OPEN_STATES = sum(1 << state for state in (1, 4, 5, 8, 9, 11))  # all but SYN_*, TIME_WAIT, CLOSE and LISTEN

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_REQUEST = struct.Struct("=BBBBI H46x")  # struct inet_diag_req_v2, from which only the local port is told
_PEER = slice(_HEADER.size + 6, _HEADER.size + 8)  # in struct inet_diag_msg
_WRITE_QUEUE = slice(_HEADER.size + 60, _HEADER.size + 64)  # of a listener: the longest that its queue may get
_INODE = slice(_HEADER.size + 68, _HEADER.size + 72)


def accepted(port):
    """The inodes of the connections that some process has accepted and not closed.

    A connection in the accept queue belongs to no process yet, so its inode is 0; so is that of one that was closed.
    """
    return {inode for _peer, _state, inode in _sockets(port) if inode}


def waiting(port):
    """How many connections wait in the accept queue: established, and accepted by nobody."""
    return len({peer for peer, state, inode in _sockets(port) if state == _ESTABLISHED and not inode})


def accepted_at_one_moment(port):
    """A number of connections that were certainly open at the same moment.

    The kernel tells its table in pieces, so connections that come and go meanwhile could be counted although they
    were never open together. Who is there in two passes was there between them.
    """
    return len(accepted(port) & accepted(port))


def backlog(port):
    """The length of the accept queue that was asked for, as far as the system allows it (listen(2))."""
    (listener,) = _messages(port, _LISTEN)
    return int.from_bytes(listener[_WRITE_QUEUE], sys.byteorder)


def _sockets(port):
    """Peer's port, state and inode of our side of each IPv4 connection of `port`."""
    for message in _messages(port, _OPEN_STATES):
        state = message[_HEADER.size + 1]
        yield int.from_bytes(message[_PEER], "big"), state, int.from_bytes(message[_INODE], sys.byteorder)


def _messages(port, states):
    """What the kernel tells of each IPv4 socket of `port` in one of the `states`."""
    body = _REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, states, socket.htons(port))
    head = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST_DUMP, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
        netlink.send(head + body)
        while True:
            data = netlink.recv(1 << 17)
            while data:
                length, kind, *_ = _HEADER.unpack_from(data)
                if kind == _NLMSG_DONE:
                    return
                assert kind == _SOCK_DIAG_BY_FAMILY, f"netlink says {kind}: {data!r}"
                message, data = data[:length], data[length + 3 & ~3 :]
                yield message
