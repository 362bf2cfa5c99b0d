"""What the kernel tells of real sockets."""

from __future__ import annotations

import contextlib
import errno
import select
import socket

import pytest
from deadlines import DEADLINE_SECONDS

from gracehttp.net.kernel_view import (
    acknowledged_bytes,
    is_readable,
    queue_length,
    unsent_bytes,
)


@pytest.fixture
def pair():
    """A TCP connection: the server's end, which doesn't block, and the client's."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), timeout=DEADLINE_SECONDS) as client,
    ):
        server, _ = listener.accept()
        server.setblocking(False)
        with server:
            yield server, client


def wait_for(sock, what=select.POLLIN):
    poll = select.poll()
    poll.register(sock, what)
    assert poll.poll(DEADLINE_SECONDS * 1000)


def test_a_connection_on_which_nothing_came_is_not_readable(pair):
    assert not is_readable(pair[0].fileno())


def test_a_connection_is_readable_until_its_bytes_are_read(pair):
    server, client = pair
    client.sendall(b"GET")
    wait_for(server)
    assert is_readable(server.fileno())
    server.recv(10)
    assert not is_readable(server.fileno())


@pytest.mark.parametrize("how", ["end of file", "reset"])
def test_the_end_of_a_connection_is_readable(pair, how):
    server, client = pair
    if how == "reset":
        server.send(b"unread")
        wait_for(client)
    client.close()
    wait_for(server)
    assert is_readable(server.fileno())


def test_a_listener_is_readable_while_connections_wait():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not is_readable(listener.fileno())
        with contextlib.ExitStack() as clients:
            for count in (1, 2):
                clients.enter_context(socket.create_connection(listener.getsockname(), timeout=DEADLINE_SECONDS))
                assert is_readable(listener.fileno())
                assert queue_length(listener) == count


def test_what_the_client_has_not_acknowledged_is_unsent_and_the_rest_is_counted(pair):
    server, client = pair
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += server.send(bytes(65536))
    before = unsent_bytes(server.fileno())
    assert 0 < before <= sent
    client.setblocking(True)
    left = sent
    while left:
        left -= len(client.recv(1 << 20))
    while unsent_bytes(server.fileno()):  # the last acknowledgement is on its way
        pass
    assert acknowledged_bytes(server) >= sent


def test_of_a_unix_socket_the_kernel_tells_less():
    one, other = socket.socketpair()
    with one, other:
        one.send(b"12345")
        assert unsent_bytes(one.fileno()) > 0
        assert is_readable(other.fileno())
        assert acknowledged_bytes(one) == 0


def test_of_what_is_no_socket_nothing_is_unsent(tmp_path):
    with (tmp_path / "file").open("w") as file:
        assert unsent_bytes(file.fileno()) == 0
    assert unsent_bytes(-1) == 0


def test_what_the_kernel_does_not_tell_counts_as_readable(pair, monkeypatch):
    class NoMemory:
        def register(self, fd, events):
            return

        def poll(self, timeout):
            raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(select, "poll", NoMemory)
    assert is_readable(pair[0].fileno())
