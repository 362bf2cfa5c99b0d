"""What a benchmark has found: samples round by round, what they are compared with, and the targets. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

One = TypeVar("One")


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them doesn't exceed; nan if there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def turns(contestants: Sequence[One], rounds: int) -> list[list[One]]:
    """Who is measured in each round, in which order: each once, and each round is begun by another."""
    order = list(contestants)
    starts = [number % len(order) if order else 0 for number in range(rounds)]
    return [order[first:] + order[:first] for first in starts]


@dataclass
class Figure:
    """One row of the result: the samples of each server, in the order of the rounds.

    `details` has what isn't compared, but belongs into the raw results.
    """

    scene: int
    interface: str
    title: str
    unit: str
    samples: dict[str, list[float]] = field(default_factory=dict)
    details: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def key(self) -> tuple[int, str, str]:
        return self.scene, self.interface, self.title

    def median(self, name: str) -> float:
        return statistics.median(self.samples[name])

    def ratios(self, name: str, other: str) -> list[float]:
        """Of the samples of two servers, round by round. Rounds that only one of them has are left out."""
        return [a / b for a, b in zip(self.samples[name], self.samples[other], strict=False) if b]

    def ratio(self, name: str, other: str) -> float:
        """The median of the ratios; nan without any."""
        found = self.ratios(name, other) if {name, other} <= self.samples.keys() else []
        return statistics.median(found) if found else math.nan

    def as_json(self) -> dict[str, Any]:
        return {
            "scene": self.scene,
            "interface": self.interface,
            "title": self.title,
            "unit": self.unit,
            "medians": {name: statistics.median(values) for name, values in self.samples.items() if values},
            "samples": self.samples,
            "details": self.details,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Figure:
        return cls(
            data["scene"], data["interface"], data["title"], data["unit"], dict(data["samples"]), dict(data["details"])
        )


@dataclass(frozen=True)
class Target:
    """What gracehttp should reach: a ratio to a peer, or with `peer` empty the figure itself."""

    scene: int
    interface: str
    title: str
    peer: str
    bound: float
    at_least: bool = False

    def reached(self, figure: Figure, ours: str) -> float:
        """What is held against the bound; nan if it wasn't measured."""
        if self.peer:
            return figure.ratio(ours, self.peer)
        return figure.median(ours) if figure.samples.get(ours) else math.nan

    def met(self, reached: float) -> bool:
        return reached >= self.bound if self.at_least else reached <= self.bound


def collect(
    figures: Mapping[str, Figure], names: Sequence[str], rounds: int, measure: Callable[[str], Mapping[str, float]]
) -> None:
    """Let each be measured once in each round; `measure` returns one sample for each of the figures."""
    for order in turns(names, rounds):
        for name in order:
            for title, value in measure(name).items():
                figures[title].samples.setdefault(name, []).append(value)
