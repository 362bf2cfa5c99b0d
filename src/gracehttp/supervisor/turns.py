"""The turns of the fleet: one input after the other is decided, and what it commands is carried out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from gracehttp.supervisor.fleet import Command, Finish, Fleet, Input, TimePassed
from gracehttp.supervisor.fleet.commands import Fact, Order
from gracehttp.supervisor.guard import guarded


class CommandHandler(Protocol):
    """What carries commands out: `orders.Orders`."""

    def leave_behind(self) -> None: ...

    def carry_out(self, command: Order | Fact) -> None: ...


class Turns:
    """Asks the fleet, until it commands `Finish`: then `finished` is done. `orders` must be set before the first
    `apply`; `after_turn()` is called behind each.
    """

    orders: CommandHandler

    def __init__(self, fleet: Fleet, finished: asyncio.Future[Finish], after_turn: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._fleet = fleet
        self._finished = finished
        self._after_turn = after_turn
        self._inputs: deque[Input] = deque()
        self._acting = False
        self._timer: asyncio.TimerHandle | None = None

    def apply(self, happened: Input) -> None:
        """Ask the fleet, and do what it says. What happens meanwhile waits its turn."""
        self._inputs.append(happened)
        if self._acting:
            return
        self._acting = True
        try:
            while self._inputs:
                commands = self._fleet.apply(self._inputs.popleft(), self._loop.time())
                guarded("leave ports behind", self.orders.leave_behind)  # before their workers are told to drain
                for command in commands:
                    guarded("carry out {}", self._carry_out, command)
        finally:
            self._acting = False
            self._set_timer()  # also after a defect: what was decided before keeps its deadlines
        self._after_turn()

    def _carry_out(self, command: Command) -> None:
        if isinstance(command, Finish):
            self._finished.set_result(command)
        else:
            self.orders.carry_out(command)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._fleet.next_deadline()
        if deadline is not None and not self._finished.done():
            self._timer = self._loop.call_at(deadline, self.apply, TimePassed())
