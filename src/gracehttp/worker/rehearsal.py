"""What a worker does last before it is ready, so that its first clients don't wait for it.

The interpreter makes code faster that it has seen run (PEP 659), and much is made at its first use. In a new worker the
first clients would wait for that, and at a restart those are all the clients that an older worker hands over at once.
So a worker serves some connections of its own first, hands them over to itself, and serves them again. No byte of it
leaves the process, and the user's application isn't called.

A spare process does this beforehand: its workers have the fast code from it, and rehearse in short.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from gracehttp.applications.asgi.application import AsgiApplication
from gracehttp.applications.drain_notice import DrainNotices
from gracehttp.http.connection import Terms
from gracehttp.http.settings import HttpSettings
from gracehttp.net.permits import LocalPermits, Permits
from gracehttp.net.poller import Poller, new_poller
from gracehttp.values import Value
from gracehttp.wire.handover import Carried
from gracehttp.worker.arrivals import Arrivals
from gracehttp.worker.connections import Connections
from gracehttp.worker.departures import Departures
from gracehttp.worker.loops import loop_factory
from gracehttp.worker.port_terms import PortTerms

_MOST_TURNS: Final = 200
"""How many turns of the loop a part of the rehearsal may take. Then it is given up."""
_REQUEST: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: gracehttp-rehearsal\r\nAccept: */*\r\n\r\n"
_ANSWER: Final = b"rehearsed"


class Extent(Value):
    """How much is rehearsed: each of so many clients sends so many requests before it is handed over, and after."""

    clients: int
    rounds: int


WHOLE: Final = Extent(clients=16, rounds=3)
AFTER_FORK: Final = Extent(clients=2, rounds=1)
"""What a process that has rehearsed leaves to its forks: objects of their own, and pages that they are the first to
write to."""

_left = WHOLE
"""What this process has yet to rehearse. Its forks have it from here."""


async def _application(_scope: Any, _receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(_ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _ANSWER})


def rehearse_ahead() -> None:
    """Rehearse for the processes that will be forked from this one, which runs no loop. It may leave descriptors open
    that the library of the loop makes once for each process."""

    async def alone() -> None:
        poller = new_poller(asyncio.get_running_loop())
        try:
            await rehearse(poller)
        finally:
            poller.close()

    global _left  # noqa: PLW0603  a fact of the process, which its forks inherit
    with asyncio.Runner(loop_factory=loop_factory("auto")) as runner:
        runner.run(alone())
    _left = AFTER_FORK


async def rehearse(poller: Poller) -> None:
    """Serve and hand over some connections within this process. Where the system lacks something for it, less is
    rehearsed; nothing of it can fail the start."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
        pairs = [socket.socketpair() for _ in range(_left.clients)]
        for pair in pairs:
            for end in pair:
                end.setblocking(False)
            opened.enter_context(pair[1])
        queue = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in queue:
            end.setblocking(False)
        await _Rehearsal(pairs, queue, poller).run(_left.rounds, opened)
    # What lives now, lives as long as the worker. The garbage collector doesn't look at it again, so that no client
    # waits for a collection of all modules (gc.freeze).
    gc.collect()
    gc.freeze()


class _Rehearsal:
    """An old and a new worker, and their clients, in one process."""

    def __init__(
        self,
        pairs: Sequence[tuple[socket.socket, socket.socket]],
        queue: tuple[socket.socket, socket.socket],
        poller: Poller,
    ) -> None:
        """In each of `pairs`, the server has the first end, a client the second one."""
        loop = asyncio.get_running_loop()
        self.permits: Permits = LocalPermits(len(pairs))
        self._clients = [client for _server, client in pairs]
        application = AsgiApplication(
            _application, name="rehearsal", loop=loop, lifespan="off", draining=DrainNotices().asgi, on_idle=_nothing
        )
        self._departures = Departures(queue[0], self.permits, loop)
        self._old, self._new = (
            Connections(
                pairs[0][0],
                application,
                HttpSettings(),
                address="",
                poller=poller,
                loop=loop,
                tls=None,
                request_finished=None,
                request_failed=None,
                on_closed=self._on_closed,
                on_rested=self._departures.offer,
                on_pace=_nothing,
                publish=_nothing,
            )
            for _ in range(2)
        )
        self._arrivals = Arrivals(queue[1], self, loop=loop, check_orders=_nothing, on_end=_nothing, publish=_nothing)
        for server, _client in pairs:
            self.permits.take()
            self._old.attach(server, None)

    async def run(self, rounds: int, opened: contextlib.ExitStack) -> None:
        """All of it. `opened` closes what is left."""
        opened.callback(self._close)
        for _ in range(rounds):
            await self._ask_all()
        self._old.see_off(PortTerms(plain=Terms.HAND_OVER))
        self._departures.offer_soon(self._old)
        await _turn_until(lambda: not self._old.open)
        for _ in range(rounds):
            await self._ask_all()

    def adopt(self, descriptor: int, carried: Carried) -> None:
        """See `HandoverTarget`."""
        self._new.adopt(descriptor, carried)

    def release(self) -> None:
        """See `HandoverTarget`."""
        self.permits.give_back()

    def _on_closed(self, permit_is_free: bool) -> None:
        if permit_is_free:
            self.permits.give_back()

    async def _ask_all(self) -> None:
        waiting = set(self._clients)
        for client in waiting:
            client.send(_REQUEST)

        def answered() -> bool:
            for client in tuple(waiting):
                with contextlib.suppress(BlockingIOError):
                    client.recv(65536)
                    waiting.discard(client)
            return not waiting

        await _turn_until(answered)

    def _close(self) -> None:
        self._departures.close()
        self._arrivals.close()
        for connections in (self._old, self._new):
            for connection in connections:
                connection.abort()
            connections.close()


async def _turn_until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until the condition holds; not for ever."""
    for _ in range(_MOST_TURNS):
        if condition():
            return
        await asyncio.sleep(0)


def _nothing(*_arguments: object) -> None:
    return
