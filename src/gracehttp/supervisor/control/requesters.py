"""The clients that asked for a restart, a replacement or a stop, and wait for its outcome."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from gracehttp.wire.control import Outcome


class Requester(Protocol):
    """A client that waits for the outcome of a command. It is told once."""

    def tell(self, outcome: Outcome) -> None: ...


class Requesters:
    """The requesters by the generation that they wait for. They are told at once, never in a later turn of the loop: so
    no outcome can be lost when the supervisor replaces itself."""

    def __init__(self, last: Outcome | None = None) -> None:
        self._restart: dict[int, list[Requester]] = {}
        self._replacement: list[Requester] = []
        self._stop: list[Requester] = []
        self.last = last
        """How the latest restart ended."""

    def of_restart(self, generation: int, requester: Requester) -> None:
        self._restart.setdefault(generation, []).append(requester)

    def of_replacement(self, requester: Requester) -> None:
        """Once there is another supervisor, this requester waits for the generation that it starts first."""
        self._replacement.append(requester)

    def of_stop(self, requester: Requester) -> None:
        self._stop.append(requester)

    def awaited_by(self, requester: Requester, *, next_generation: int) -> int | None:
        """The generation that a requester will be told about, if the supervisor is replaced now."""
        if requester in self._replacement:
            return next_generation
        return next((number for number, waiting in self._restart.items() if requester in waiting), None)

    def supersede(self, generation: int, by: int) -> None:
        """Requesters of `generation` now wait for the newer one: it has the code that they asked for, or newer."""
        self._restart.setdefault(by, []).extend(self._restart.pop(generation, []))

    def concluded(self, outcome: Outcome) -> None:
        """The generation of `outcome` serves or was given up."""
        if outcome.generation > 1:  # the first start is no restart
            self.last = outcome
        _tell(self._restart.pop(outcome.generation, []), outcome)

    def not_replaced(self, outcome: Outcome) -> None:
        """The supervisor was not replaced."""
        self.last = outcome
        waiting, self._replacement = self._replacement, []
        _tell(waiting, outcome)

    def stopped(self, outcome: Outcome) -> None:
        """The service has ended; so has everything that was under way."""
        _tell(self._stop, outcome)
        for waiting in [*self._restart.values(), self._replacement]:
            _tell(waiting, Outcome(ok=False, message="the service was stopped"))


def _tell(waiting: Iterable[Requester], outcome: Outcome) -> None:
    for requester in waiting:
        requester.tell(outcome)
