"""How many of the connections that old workers hand over each new worker should take.

Old workers of a port send into one queue, and all new ones wake up when something is in it. Without more, the first
that runs would take all. So each says in words of the port's shared page what it does: whether it takes, or how many
connections it had when it began to hand over. The connections of all that hand over, divided by the workers that take,
are the share of each. A worker that has its share leaves the queue to the others for a moment (`worker.arrivals`).

The words are advice: nothing is lost if one of them is wrong. The supervisor clears those of a worker that has died.
"""

from __future__ import annotations

from typing import Protocol


class HandoverShares(Protocol):
    """What a worker tells the other workers of a port, and asks."""

    def begin_taking(self) -> None:
        """This worker takes connections from the queue from now on, or will as soon as it serves."""

    def end_taking(self) -> None: ...

    def begin_leaving(self, connections: int) -> None:
        """This worker hands its connections over, of which it has so many now."""

    def end_leaving(self) -> None:
        """It keeps them after all. Nothing is to be said at its end: what it has sent may still wait in the queue."""

    def share(self) -> int | None:
        """How many connections each worker that takes should get; None if no worker takes, or none has
        said what it hands over (an older release, or a worker that has ended)."""


class LocalShares:
    """For a port whose workers share no memory."""

    def begin_taking(self) -> None:
        return

    def end_taking(self) -> None:
        return

    def begin_leaving(self, connections: int) -> None:
        return

    def end_leaving(self) -> None:
        return

    def share(self) -> int | None:
        return None


ALONE: HandoverShares = LocalShares()  # one for all: it has no state


class SharedShares:
    """In the words of a shared page; those at `slot` are this worker's."""

    def __init__(self, takes: memoryview, leaves: memoryview, slot: int) -> None:
        """The words stay the caller's: one of 64 bits for each worker in each of the two."""
        self._takes = takes
        self._leaves = leaves
        self._slot = slot

    def begin_taking(self) -> None:
        self._takes[self._slot] = 1

    def end_taking(self) -> None:
        self._takes[self._slot] = 0

    def begin_leaving(self, connections: int) -> None:
        self._leaves[self._slot] = connections

    def end_leaving(self) -> None:
        self._leaves[self._slot] = 0

    def share(self) -> int | None:
        takers, leaving = sum(self._takes.tolist()), sum(self._leaves.tolist())
        return None if takers < 2 or not leaving else -(-leaving // takers)
