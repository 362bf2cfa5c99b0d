"""How the workers of one generation change their certificates: all of them, or none. Pure.

    files changed, and then rest -> Prepare to all workers -> all have loaded the same -> Use to all of them
                                                           -> one has refused          -> the old ones stay
                                                           -> they differ              -> once more

A worker that says nothing in time is not waited for: the order to use what it has prepared reaches it in its turn.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from gracehttp.values import Value
from gracehttp.wire.messages import CertificateFacts

ANSWER_SECONDS: Final = 10.0
"""How long a worker may take to load certificates. That takes milliseconds, unless it hangs."""
NEAR_SECONDS: Final = 14 * 86400.0
DAY_SECONDS: Final = 86400.0

Signature = tuple[tuple[int, ...], ...]
"""What stat(2) tells of each file, so that another content has another signature."""


class Do(enum.Enum):
    """What to do about it."""

    NOTHING = "nothing"
    PREPARE = "prepare"
    USE = "use"
    REFUSE = "refuse"


class Loaded(Value):
    """What a generation uses. `digest` is that of its workers."""

    digest: str
    certificates: tuple[CertificateFacts, ...]


class ChangesRecord(Value):
    """The certificates of one generation, to go on with in another process."""

    files: tuple[str, ...]
    workers: tuple[int, ...]
    used: Loaded | None
    number: int


@dataclass(slots=True)
class Changes:
    """The changes of one generation. Each method returns what to do. `number` counts them, `workers` are asked, and
    `reason` says why one was refused."""

    files: tuple[str, ...]
    workers: set[int] = field(default_factory=set)
    """Those that have certificates."""
    used: Loaded | None = None
    number: int = 0
    """The number of the latest change."""
    reason: str = ""
    """Why it was refused."""
    _seen: Signature = ()
    _tried: Signature | None = None
    """None: what is in the files was not tried yet, or must be once more."""
    _awaited: set[int] = field(default_factory=set)
    _answers: dict[int, Loaded] = field(default_factory=dict)
    _refusals: dict[int, str] = field(default_factory=dict)
    _deadline: float | None = None
    _uneven: bool = False  # a worker uses others than `used`

    def carry(self) -> ChangesRecord:
        return ChangesRecord(self.files, tuple(sorted(self.workers)), self.used, self.number)

    @classmethod
    def adopt(cls, record: ChangesRecord) -> Changes:
        """Go on with what another process carried. A change that was under way is tried again."""
        return cls(record.files, set(record.workers), record.used, record.number)

    @property
    def under_way(self) -> bool:
        """Whether answers are awaited."""
        return self._deadline is not None

    def looked(self, signature: Signature, now: float) -> Do:
        """The files have this signature. They are tried when they rest: certificate and key are written one after the
        other."""
        if self._deadline is not None:
            return self._settle() if now >= self._deadline else Do.NOTHING
        rests, self._seen = signature == self._seen, signature
        if not rests or signature == self._tried or not self.workers:
            return Do.NOTHING
        self._tried = signature
        self.number += 1
        self._awaited = set(self.workers)
        self._answers.clear()
        self._refusals.clear()
        self._deadline = now + ANSWER_SECONDS
        return Do.PREPARE

    def loaded(self, worker: int, change: int, loaded: Loaded) -> Do:
        """A worker has loaded certificates: at its start, if `change` is 0, and uses them then."""
        if change == 0:
            self.workers.add(worker)
            if self.used is None:
                self.used = loaded
            elif self.used.digest != loaded.digest:
                self._tried = None  # it started while the files changed: all have to become alike
                self._uneven = True
            return Do.NOTHING
        return self._answered(worker, change, loaded, "")

    def refused(self, worker: int, change: int, reason: str) -> Do:
        """A worker can't use what is in the files."""
        return self._answered(worker, change, None, reason)

    def gone(self, worker: int) -> Do:
        """It has ended, or drains: nothing new begins there."""
        self.workers.discard(worker)
        if self._deadline is None:
            return Do.NOTHING
        self._awaited.discard(worker)
        self._answers.pop(worker, None)
        return Do.NOTHING if self._awaited else self._settle()

    def _answered(self, worker: int, change: int, loaded: Loaded | None, reason: str) -> Do:
        if self._deadline is None or change != self.number or worker not in self._awaited:
            return Do.NOTHING
        self._awaited.discard(worker)
        if loaded is not None:
            self._answers[worker] = loaded
        else:
            self._refusals[worker] = reason
        return Do.NOTHING if self._awaited else self._settle()

    def _settle(self) -> Do:
        self._deadline = None
        if self._refusals:
            self.reason = next(iter(self._refusals.values()))
            return Do.REFUSE
        found = {one.digest: one for one in self._answers.values()}
        if len(found) != 1:
            self._tried = None
            return Do.NOTHING
        (loaded,) = found.values()
        if self.used is not None and loaded.digest == self.used.digest and not self._uneven:
            return Do.NOTHING  # the files were touched, and are the same
        self.used = loaded
        self._uneven = False
        return Do.USE


def near_their_end(certificates: Collection[CertificateFacts], now: float) -> Mapping[CertificateFacts, int]:
    """The certificates that end within a fortnight, or within a quarter of their time if that is less, with how many
    days are left. `now` is in seconds since 1970."""
    near = {}
    for one in certificates:
        left = one.not_after - now
        if left < min(NEAR_SECONDS, (one.not_after - one.not_before) / 4):
            near[one] = days(left)
    return near


def days(seconds: float) -> int:
    """Whole days, rounded down: -1 is less than a day ago."""
    return int(seconds // DAY_SECONDS)
