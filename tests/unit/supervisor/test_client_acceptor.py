"""Accepting clients of the supervisor itself: as many as there is room for, and what a shortage does."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

from deadlines import DEADLINE_SECONDS

from gracehttp.supervisor import client_acceptor
from gracehttp.supervisor.client_acceptor import ClientAcceptor


class Listener:
    """A listening socket that fails with each of `errors`, once, before it accepts."""

    def __init__(self, *errors):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.errors = list(errors)
        self.fileno = self.socket.fileno

    def accept(self):
        if self.errors:
            code = self.errors.pop(0)
            raise OSError(code, os.strerror(code))
        return self.socket.accept()

    def connect(self):
        return socket.create_connection(self.socket.getsockname())


def accepted(listener, clients, *, rooms):
    """How many of so many clients are accepted, while there is the first of `rooms`, and then the next."""

    async def run():
        done: list[socket.socket] = []
        counts = []
        peers = [listener.connect() for _ in range(clients)]
        for room in rooms:
            one = ClientAcceptor(listener, done.append, lambda room=room: len(done) < room)
            one.begin()
            while one._watch is not None and len(done) < clients:
                await asyncio.sleep(0)
            one.pause()
            counts.append(len(done))
        for sock in [*peers, *done, listener.socket]:
            sock.close()
        one.begin()
        assert one._watch is None, "the listener is closed"
        return counts

    return asyncio.run(asyncio.wait_for(run(), DEADLINE_SECONDS))


def test_all_clients_are_accepted_also_after_one_that_has_left_already():
    assert accepted(Listener(errno.ECONNABORTED), 3, rooms=[9]) == [3]


def test_without_room_the_others_wait_until_there_is_some():
    assert accepted(Listener(), 3, rooms=[2, 2, 3]) == [2, 2, 3]


def test_a_shortage_of_descriptors_is_a_pause(monkeypatch):
    monkeypatch.setattr(client_acceptor, "PAUSE_SECONDS", 0.0)

    async def run():
        listener, done = Listener(errno.EMFILE), asyncio.get_running_loop().create_future()
        one = ClientAcceptor(listener, done.set_result)
        one.begin()
        peer = listener.connect()
        (await done).close()
        one.pause()
        peer.close()
        listener.socket.close()

    asyncio.run(asyncio.wait_for(run(), DEADLINE_SECONDS))
