"""The same holds for the system calls of both builds. What each says of a socket, a stream on it shows."""

import errno
import os
import select
import socket
import sys

import pytest

from gracehttp.net import system_calls
from gracehttp.net.system_calls import (
    READ_BYTES,
    accept,
    descriptor_of,
    give_one,
    ready,
    receive,
    send,
    shut,
    take_one,
    waiting,
)


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


@pytest.fixture(params=["by descriptor", "by methods"])
def listener(request):
    kind = socket.socket if request.param == "by descriptor" else type("Own", (socket.socket,), {})
    with kind() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        one.setblocking(False)
        yield one


def test_accept_gives_a_descriptor_that_does_not_block_and_no_child_inherits(listener):
    fd = descriptor_of(listener)
    assert accept(listener, fd) is None
    with socket.create_connection(listener.getsockname()) as client:
        descriptor, name = accept(listener, fd)
        assert (os.get_blocking(descriptor), os.get_inheritable(descriptor)) == (False, False)
        assert name == client.getsockname()
        os.close(descriptor)
    assert accept(listener, fd) is None


@pytest.mark.skipif(not socket.has_ipv6, reason="this system has no IPv6")
def test_accept_names_a_client_by_ipv6_as_its_socket_does():
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as server,
        socket.create_connection(server.getsockname()[:2]) as client,
    ):
        descriptor, name = accept(server, descriptor_of(server))
        with socket.socket(fileno=descriptor) as accepted:
            assert name == accepted.getpeername() == client.getsockname()


def test_a_failed_accept_is_an_error():
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="Invalid argument") as raised:
            accept(unheard, unheard.fileno())
        assert raised.value.errno == errno.EINVAL


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel doesn't tell how many wait")
def test_what_waits_in_a_queue_is_counted_where_the_kernel_tells(listener, tmp_path):
    assert waiting(listener, descriptor_of(listener)) == 0
    clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
    assert waiting(listener, listener.fileno()) == 3
    for client in clients:
        client.close()
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket"))
        unix.listen()
        assert waiting(unix, unix.fileno()) == 0
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "socket"))
            assert waiting(unix, unix.fileno()) == -1


def test_our_half_is_shut_and_a_client_that_is_gone_is_no_error(pair):
    ours, theirs = pair
    assert shut(ours, descriptor_of(ours))
    assert theirs.recv(1) == b""
    with socket.socket() as alone:
        assert not shut(alone, descriptor_of(alone))


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="of Linux")
def test_an_eventfd_gives_what_it_has_one_by_one():
    eventfd = os.eventfd(1, os.EFD_SEMAPHORE | os.EFD_NONBLOCK)
    give_one(eventfd)
    assert [take_one(eventfd) for _ in range(3)] == [True, True, False]
    os.close(eventfd)
    for call in (take_one, give_one):
        with pytest.raises(OSError, match="Bad file descriptor"):
            call(eventfd)
