"""The clients that asked for a restart, a replacement or a stop, and wait for its outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from gracehttp.wire.control import Outcome


class Requester(Protocol):
    """A client that waits for the outcome of a command. It is told once."""

    def tell(self, outcome: Outcome) -> None: ...


class Requesters:
    """The requesters by the generation that they wait for. They are told at once, never in a later turn of the loop: so
    no outcome can be lost when the supervisor replaces itself."""

    def __init__(self, last: Outcome | None = None, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._sources: dict[int, str] = {}
        self._replaced_for = ""
        self._restart: dict[int, list[Requester]] = {}
        self._replacement: list[Requester] = []
        self._stop: list[Requester] = []
        self._queued: list[Requester] = []
        self.queued_source = ""
        """The source of the latest request for the restart that waits until the one under way has ended; "": none
        waits."""
        self.last = last
        """How the latest restart ended."""

    def restart_began(self, generation: int, source: str) -> None:
        """`source` asked for a restart, and `generation` is started for it."""
        self._sources[generation] = source

    def replacement_began(self, source: str) -> None:
        """`source` asked for another supervisor."""
        self._replaced_for = source

    def of_restart(self, generation: int, requester: Requester) -> None:
        self._restart.setdefault(generation, []).append(requester)

    def of_queued_restart(self, source: str, requester: Requester) -> None:
        """`requester` waits for the restart that begins when the one under way has ended. There is one such restart for
        all that ask meanwhile."""
        self._queued.append(requester)
        self.queued_source = source

    def begin_queued(self, generation: int) -> None:
        """`generation` starts now: it is what the queued restart was to bring."""
        if self._queued:
            self._restart.setdefault(generation, []).extend(self._queued)
        self._queued, self.queued_source = [], ""

    def of_replacement(self, requester: Requester) -> None:
        """Once there is another supervisor, this requester waits for the generation that it starts first."""
        self._replacement.append(requester)

    def of_stop(self, requester: Requester) -> None:
        self._stop.append(requester)

    def awaited_by(self, requester: Requester, *, next_generation: int) -> int | None:
        """The generation that a requester will be told about, if the supervisor is replaced now."""
        if requester in self._replacement or requester in self._queued:
            return next_generation
        return next((number for number, waiting in self._restart.items() if requester in waiting), None)

    def supersede(self, generation: int, by: int) -> None:
        """Requesters of `generation` now wait for the newer one: it has the code that they asked for, or newer."""
        self._sources.pop(generation, None)
        self._restart.setdefault(by, []).extend(self._restart.pop(generation, []))

    def concluded(self, outcome: Outcome) -> None:
        """The generation of `outcome` serves or was given up."""
        source = self._sources.pop(outcome.generation, "")
        if outcome.generation > 1:  # the first start is no restart
            self.last = self._of(outcome, source)
        _tell(self._restart.pop(outcome.generation, []), outcome)

    def not_replaced(self, outcome: Outcome) -> None:
        """The supervisor was not replaced."""
        self.last = self._of(outcome, self._replaced_for)
        waiting, self._replacement = self._replacement, []
        _tell(waiting, outcome)

    def stopped(self, outcome: Outcome) -> None:
        """The service has ended; so has everything that was under way."""
        _tell(self._stop, outcome)
        for waiting in [*self._restart.values(), self._replacement, self._queued]:
            _tell(waiting, Outcome(ok=False, message="the service was stopped"))

    def _of(self, outcome: Outcome, source: str) -> Outcome:
        return Outcome(**{**outcome.fields(), "source": source, "ended_at": round(self._clock(), 3)})


def _tell(waiting: Iterable[Requester], outcome: Outcome) -> None:
    for requester in waiting:
        requester.tell(outcome)
