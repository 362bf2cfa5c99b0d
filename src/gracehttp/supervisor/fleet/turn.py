"""One call of `Fleet.apply`: its time, the numbers it may give, and the commands that its steps add."""

from __future__ import annotations

from dataclasses import dataclass

from gracehttp.supervisor.fleet.commands import Command


@dataclass(slots=True)
class Numbers:
    """Counts generations and workers, each from 1. No number is given twice, so a late message of a worker that is
    gone can't be taken for one of its successor's."""

    generation: int = 0
    """The last one that was given; 0: none."""
    worker: int = 0

    def next_generation(self) -> int:
        self.generation += 1
        return self.generation

    def next_worker(self) -> int:
        self.worker += 1
        return self.worker


class Turn:
    """Steps add their commands in the order in which they must be carried out."""

    __slots__ = ("commands", "now", "numbers")

    def __init__(self, now: float, numbers: Numbers) -> None:
        self.now = now
        self.numbers = numbers
        self.commands: list[Command] = []

    def add(self, *commands: Command) -> None:
        self.commands.extend(commands)
