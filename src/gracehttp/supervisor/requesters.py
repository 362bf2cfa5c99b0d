"""Who asked for a restart or a stop, and waits to be told how it ended."""

from __future__ import annotations

import asyncio

from gracehttp.supervisor.control import Outcome


class Requesters:
    """Futures by the generation that was asked for. A future that its waiter gave up is passed over."""

    def __init__(self) -> None:
        self._restart: dict[int, list[asyncio.Future[Outcome]]] = {}
        self._stop: list[asyncio.Future[Outcome]] = []
        self.last: Outcome | None = None
        """How the latest restart ended."""

    def of_restart(self, generation: int) -> asyncio.Future[Outcome]:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._restart.setdefault(generation, []).append(future)
        return future

    def of_stop(self) -> asyncio.Future[Outcome]:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._stop.append(future)
        return future

    def supersede(self, generation: int, by: int) -> None:
        """Who waited for `generation` waits for the newer one: it has the code that they asked for, or newer."""
        self._restart.setdefault(by, []).extend(self._restart.pop(generation, []))

    def concluded(self, outcome: Outcome) -> None:
        """The generation of `outcome` serves or was given up."""
        if outcome.generation > 1:  # the first start is no restart
            self.last = outcome
        _tell(self._restart.pop(outcome.generation, []), outcome)

    def stopped(self, outcome: Outcome) -> None:
        """The service has ended; so has every restart that was under way."""
        _tell(self._stop, outcome)
        for waiting in self._restart.values():
            _tell(waiting, Outcome(ok=False, message="the service was stopped"))


def _tell(waiting: list[asyncio.Future[Outcome]], outcome: Outcome) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(outcome)
