"""What is known of a generation on probation: its errors, and which workers answered at the end. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

FEWEST_RESPONSES = 20
"""With fewer responses the share of errors says nothing yet. At the end of a probation any number must do."""
ANSWER_SECONDS = 2.0
"""How long each worker has, at the end, to answer a ping. A worker whose event loop is stuck answers none."""


@dataclass(slots=True)
class Probation:
    """When its time is up, the workers of the generation are pinged, and must answer before it passes."""

    began_at: float
    ends_at: float
    responses: int = 0
    errors: int = 0
    """How many `responses` were server errors (5xx), or were broken off by the application."""
    answers_due: float | None = None
    """The workers must answer before this time. None: they were not pinged yet."""
    silent: set[int] = field(default_factory=set)
    """The workers that were pinged and have not answered yet."""

    @property
    def deadline(self) -> float:
        """When it is decided if nothing happens before."""
        return self.ends_at if self.answers_due is None else self.answers_due

    def count(self, responses: int, errors: int) -> None:
        """A worker sent `responses` more, of which `errors` were errors."""
        self.responses += responses
        self.errors += errors

    def expect_answers(self, workers: Collection[int], now: float) -> None:
        """The time is up, and `workers` are pinged."""
        self.silent = set(workers)
        self.answers_due = now + ANSWER_SECONDS

    def answered(self, worker: int) -> None:
        self.silent.discard(worker)

    def too_many_errors(self, max_errors: float | None, *, time_is_up: bool) -> str:
        """Which errors fail the generation: the rest of a sentence "it was rolled back: ...". "" if none do."""
        enough = self.responses >= FEWEST_RESPONSES or time_is_up
        if max_errors is None or not enough or self.errors <= max_errors * self.responses:
            return ""
        most = f"{100 * max_errors:.3g}%"
        return f"{self.errors} of its {self.responses} responses were server errors, which is more than {most}"

    def missing_answer(self, now: float) -> str:
        """Which worker should have answered by now, as the rest of the same sentence. "" if none."""
        if not self.silent or self.answers_due is None or now < self.answers_due:
            return ""
        return f"its worker {min(self.silent)} did not answer for {ANSWER_SECONDS:g} s"
