"""Whatever streams and their clients do, and in whatever order: all bytes arrive, and no one waits for ever.

Histories are drawn from numbers, so each run has the same ones. One that fails is made as short as it can be made by
leaving out steps, and shown with its number.
"""

from __future__ import annotations

import asyncio
import random

import pytest
from deadlines import DEADLINE_SECONDS
from floor import BOTH, LOOPS, opened
from garbage import garbage_of_ours
from stream_world import KINDS, Certificates, play

from gracehttp.net.poller import BRIEF_BYTES
from gracehttp.net.stream import BURST_BYTES, HIGH_WATER_BYTES, HOLD_BYTES

HISTORIES = 40
STREAMS = 4
RECORD_BYTES = 16384
ENCRYPTED_BYTES = 65536
"""So much is encrypted at once."""
CONSTANTS = sorted({HOLD_BYTES, BRIEF_BYTES, RECORD_BYTES, ENCRYPTED_BYTES, HIGH_WATER_BYTES, BURST_BYTES})
SMALL = (0, 1, 100, 4095, 4096, 4097, 9000)
ROOMS = (2048, 65536, 1 << 20)


class Draw:
    """A history, and how much the kernel has room for of each of its streams."""

    def __init__(self, number):
        self._random = random.Random(number)
        count = self._one(1, 2, 2, 3, STREAMS)
        same = self._one(*ROOMS)
        self.rooms = [self._one(same, same, *ROOMS) for _ in range(count)]
        if self._random.random() < 0.4:
            self.rooms = [same] * count
        self.history = [self._step(count) for _ in range(self._random.randint(1, 7))]

    def _one(self, *choices):
        return self._random.choice(choices)

    def _size(self):
        near = self._one(*CONSTANTS) + self._one(-1, 0, 1)
        large = self._random.randint(1, 9) * ENCRYPTED_BYTES + self._one(*SMALL)
        return self._one(self._one(*SMALL), near, large, self._random.randint(1, 700_000))

    def _act(self):
        what = self._one("write", "write", "write", "small", "small", "pieces", "file", "response", "response", "other")
        match what:
            case "write":
                return ("write", self._size(), self._one(bytes, bytes, bytes, bytes, bytearray, memoryview))
            case "small":
                return ("write", self._one(*SMALL))
            case "pieces":
                return ("pieces", *(self._size() for _ in range(self._random.randint(1, 3))))
            case "file":
                return ("file", max(1, self._size()))
            case "response":
                return ("response", self._size(), self._one(997, HOLD_BYTES, 20_000, 100_000))
        return self._one(("flush",), ("pause",), ("resume",))

    def _acts(self):
        acts = [self._act() for _ in range(self._random.randint(1, 3))]
        if self._random.random() < 0.06:
            acts.append(self._one(("close", True), ("close", False), ("abort",), ("reset",)))
        return acts

    def _step(self, count):
        match self._one("turn", "turn", "turn", "same", "same", "between", "client", "client", "client", "pass"):
            case "turn":
                return ("turn", [self._acts() for _ in range(count)])
            case "same":
                return (self._one("turn", "between"), [self._acts()] * count)
            case "between":
                return ("between", [self._acts() if self._random.random() < 0.6 else [] for _ in range(count)])
            case "client":
                most = self._one(1, 5000, 100_000, 1 << 30)
                does = self._one(("look", most), ("look", most), ("look", most), ("end",), ("leave",))
                return ("client", self._random.randrange(count), *does)
        return ("pass", self._random.randint(1, 3))


@pytest.fixture(scope="module")
def certificates():
    return Certificates()


@pytest.fixture(params=BOTH)
def played(request, certificates):
    """Plays a history on a loop and a poller; returns what went wrong."""
    loop, poller = request.param.split("-")
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:

        async def on_a_floor(kind, rooms, history):
            async with opened(poller) as floor:
                return await play(floor, kind, certificates, rooms, history)

        yield lambda *how: runner.run(asyncio.wait_for(on_a_floor(*how), DEADLINE_SECONDS))


def shortest(history, fails):
    """`history`, which fails, without the steps that it fails without."""
    for at in reversed(range(len(history))):
        shorter = history[:at] + history[at + 1 :]
        if fails(shorter):
            history = shorter
    return history


@pytest.mark.parametrize("kind", KINDS)
def test_in_any_history_all_arrives_and_all_that_wait_are_told(played, kind):
    with garbage_of_ours() as found:
        for number in range(HISTORIES):
            draw = Draw(number)
            if faults := played(kind, draw.rooms, draw.history):
                history = shortest(draw.history, lambda history: played(kind, draw.rooms, history))  # noqa: B023  at once
                pytest.fail(f"history {number}: {faults}\nrooms: {draw.rooms}\nat its shortest: {history}")
    assert found == []
