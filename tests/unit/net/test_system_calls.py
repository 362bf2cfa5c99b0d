"""The same holds for the system calls of both builds. What each says of a socket, a stream on it shows."""

import errno
import select
import socket

import pytest

from gracehttp.net import system_calls
from gracehttp.net.system_calls import READ_BYTES, descriptor_of, ready, receive, send


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("much", [False, True])
def test_receive_tells_nothing_from_the_end(pair, much):
    ours, theirs = pair
    fd = descriptor_of(ours)
    assert receive(ours, fd, much) is None
    theirs.sendall(b"x" * (READ_BYTES + 1))
    assert receive(ours, fd, much) == b"x" * READ_BYTES
    assert receive(ours, fd, much) == b"x"
    theirs.close()
    assert receive(ours, fd, much) == b""


def test_send_takes_what_there_is_room_for(pair):
    ours, _theirs = pair
    fd = descriptor_of(ours)
    assert send(ours, fd, b"") == 0
    while send(ours, fd, b"x" * 100_000):
        pass
    assert send(ours, fd, b"x") == 0


def test_a_client_that_is_gone_is_an_error_and_no_signal(pair):
    ours, theirs = pair
    theirs.close()
    with pytest.raises(BrokenPipeError) as raised:
        send(ours, descriptor_of(ours), b"x")
    assert raised.value.errno == errno.EPIPE


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="of Linux")
def test_ready_tells_so_many_at_most(pair):
    ours, theirs = pair
    with select.epoll() as epoll:
        fd = descriptor_of(epoll)
        assert ready(epoll, fd, 10) == []
        epoll.register(ours, select.EPOLLOUT)
        epoll.register(theirs, select.EPOLLOUT)
        assert sorted(ready(epoll, fd, 10)) == sorted((one.fileno(), select.EPOLLOUT) for one in pair)
        assert len(ready(epoll, fd, 1)) == 1


def test_an_object_of_another_class_is_asked_by_its_methods():
    class Own(socket.socket):
        pass

    with Own() as sock:
        assert descriptor_of(sock) == -1
    assert system_calls.READ_BYTES == 65536
