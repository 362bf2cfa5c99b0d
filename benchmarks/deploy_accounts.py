"""What clients have met during restarts, from their notes. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from .deploy_clients import Asked
from .figures import percentile


@dataclass(frozen=True)
class Account:
    """`mixed_seconds` is how long, summed over the deploys, requests that were sent after the first answer of newer
    code were still answered by older code; `mixed_answers` is how many such answers there were.
    """

    requests: int
    lost: int
    reset: int
    refused: int
    errors: int
    reconnects: int
    worst_ms: float
    late_ms: float
    mixed_seconds: float
    mixed_answers: int
    newest: int

    @classmethod
    def of(cls, asked: Sequence[Asked]) -> Account:
        """Those that had no answer at all count as lost."""
        mixes = [mixed(asked, code) for code in sorted({one.code for one in asked if one.code})[1:]]
        seconds = [one.seconds for one in asked if one.outcome == "answered"]
        return cls(
            requests=len(asked),
            lost=_count(asked, "lost") + _count(asked, "silent"),
            reset=_count(asked, "reset"),
            refused=_count(asked, "refused"),
            errors=_count(asked, "error"),
            reconnects=sum(one.reconnected for one in asked),
            worst_ms=1000 * max(seconds, default=float("nan")),
            late_ms=1000 * percentile(seconds, 0.99),
            mixed_seconds=sum(seconds for seconds, _ in mixes),
            mixed_answers=sum(count for _, count in mixes),
            newest=max((one.code for one in asked), default=0),
        )


def _count(asked: Sequence[Asked], outcome: str) -> int:
    return sum(one.outcome == outcome for one in asked)


def first_answer(asked: Sequence[Asked], code: int) -> float | None:
    """When the first answer of that code, or of newer, had come."""
    return min((one.ended for one in asked if one.outcome == "answered" and one.code >= code), default=None)


def mixed(asked: Sequence[Asked], code: int) -> tuple[float, int]:
    """For how long clients who asked after the first answer of `code` still got older code, and how many answers.

    Requests that were under way at that moment don't count: a server can't change who answers them.
    """
    first = first_answer(asked, code)
    if first is None:
        return 0.0, 0
    older = [one for one in asked if one.outcome == "answered" and one.code < code and one.sent > first]
    return max((one.ended for one in older), default=first) - first, len(older)


def without_answer(asked: Sequence[Asked]) -> float:
    """The longest time in seconds between two answers, of any client."""
    ends = sorted(one.ended for one in asked if one.outcome == "answered")
    return max((later - earlier for earlier, later in itertools.pairwise(ends)), default=float("nan"))
