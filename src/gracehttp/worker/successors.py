"""The workers that go on with what this one has, as its orders to pause or to drain name them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from gracehttp.values import Value


class Successors(Value):
    """`listeners` are the numbers of the listeners that they have, `tls_listeners` of those whose TLS sessions they
    take over. `queues` are the handover queues from which they take connections, None for all. A listener that was
    left out and came back has another queue than ours."""

    listeners: frozenset[int] = frozenset()
    queues: frozenset[int] | None = None
    tls_listeners: frozenset[int] = frozenset()

    @classmethod
    def of(cls, listeners: Iterable[int], queues: Iterable[int] | None = None, tls: Iterable[int] = ()) -> Self:
        """As an order has them (`wire.messages.Pause`, `Drain`)."""
        return cls(frozenset(listeners), None if queues is None else frozenset(queues), frozenset(tls))

    def take_from(self, queue: int, listener: int) -> bool:
        """Whether other workers take what is in this handover queue of this listener."""
        return listener in self.listeners and (self.queues is None or queue in self.queues)


NO_SUCCESSORS = Successors()
