"""The ports of the service: for each a listening socket, the handover queue, and the permits. What happens to a port
happens to all three."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from gracehttp.events import Event
from gracehttp.supervisor.listeners.auditor import Auditor
from gracehttp.supervisor.listeners.held_listener import HeldListener
from gracehttp.supervisor.listeners.queues import HandoverQueue, HandoverQueues
from gracehttp.supervisor.listeners.table import ListenerTable
from gracehttp.values import Descriptor
from gracehttp.wire import messages


class Ports:
    """All ports. `living_slots` tells the slots of the workers that live."""

    def __init__(
        self,
        listeners: ListenerTable,
        queues: HandoverQueues,
        living_slots: Callable[[], Iterable[int]],
        publish: Callable[[Event], None],
    ) -> None:
        self._listeners = listeners
        self._queues = queues
        self._publish = publish
        self._auditor = Auditor(listeners, living_slots, queues.empty, publish)

    def offer(
        self, requests: Sequence[messages.ListenRequest], generation: int, workers: int
    ) -> list[messages.TakeListener]:
        """What a worker of `generation`, which has so many `workers`, is given for the listeners that it asks for. They
        are opened where no generation has them yet. Raises `GraceHTTPError`."""
        found = self._listeners.provide(requests, generation)
        queues = [self._queues.of(listener.number, generation) for listener in found]
        return [
            _offer(listener, request.address, workers, queue)
            for listener, request, queue in zip(found, requests, queues, strict=True)
        ]

    def promote(self, generation: int) -> None:
        """The workers of `generation` serve from now on."""
        self._listeners.promote(generation)
        self._auditor.audit()

    def left_to(self, generations: Collection[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What a worker that drains or pauses leaves to the workers of `generations`: the numbers of the listeners, and
        of those where all of them take connections that speak TLS."""
        listeners = {number for one in generations for number in self._listeners.used_by(one)}
        return tuple(sorted(listeners)), tuple(self._listeners.taking_tls(generations))

    @property
    def all_listeners(self) -> tuple[int, ...]:
        return tuple(one.number for one in self._listeners)

    @property
    def live_queues(self) -> tuple[int, ...]:
        """The identities of the queues from which workers that serve take connections."""
        return self._queues.live()

    def leave_behind(self, in_use: Collection[int], coming: int | None) -> None:
        """Stop admitting connections to listeners that no generation `in_use` has, and seal their handover queues."""
        self._queues.seal(self._listeners.leave_behind(in_use, coming))

    def stop_admitting(self) -> None:
        """The service ends."""
        self._listeners.stop_admitting()
        self._queues.seal_all()

    def worker_died(self, slot: int) -> None:
        """The process with this slot is gone: what it held of the permits is reclaimed."""
        self._auditor.worker_died(slot)

    def forget(self, generation: int, *, at_the_end: bool) -> None:
        """The generation is gone: close what only it used. At the end of the service the queues are kept: the last
        workers empty them."""
        self._listeners.forget(generation)
        if at_the_end:
            return
        lost = [*self._queues.forget(generation), *self._queues.keep(self.all_listeners)]
        for event in lost:
            self._publish(event)
        if lost:
            self._auditor.connections_lost()

    def connections_shed(self, listener: int, connections: int) -> None:
        """A worker has closed so many idle connections of a full listener, to make room."""
        self._listeners.connections_shed(listener, connections)

    def close_listeners(self) -> None:
        """New connections are refused from here on."""
        self._listeners.close_all()

    def audit(self) -> None:
        """See `Auditor.audit`."""
        self._auditor.audit()

    def close(self) -> None:
        """Close all. Publishes what is lost in the queues."""
        self._auditor.close()
        self._listeners.close_all()
        for lost in self._queues.keep(()):
            self._publish(lost)


def _offer(listener: HeldListener, asked_for: str, workers: int, queue: HandoverQueue | None) -> messages.TakeListener:
    permits, limit = None, max(1, listener.limit // workers)
    if listener.pool is not None:
        permits, limit = messages.PermitDescriptors(*map(Descriptor, listener.pool.filenos())), listener.limit
    return messages.TakeListener(
        number=listener.number,
        address=asked_for,
        bound=listener.bound,
        limit=limit,
        socket=Descriptor(listener.socket.fileno()),
        permits=permits,
        queue=messages.QueueEnds(queue.identity, *map(Descriptor, queue.filenos())) if queue is not None else None,
        kept=listener.kept,
    )
