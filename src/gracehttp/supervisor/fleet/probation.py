"""The time in which a generation has to prove itself, while the one before stands by. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from gracehttp.supervisor.fleet.inputs import WorkerAlive, WorkerAnswered

FEWEST_RESPONSES = 20
"""Before so many responses were counted, the share of errors among them says nothing; but at the end it must do."""
ANSWER_SECONDS = 2.0
"""How long each worker has, at the end, to answer whether it is there. A loop that is stuck answers nothing."""


@dataclass(slots=True)
class Probation:
    """Times are those of the fleet. `errors` are those of the `responses` that were server errors (5xx), or that the
    application broke off. When the time is up, its workers are asked whether they are there: `silent` are those that
    have not said so yet, and have until `answers_due`."""

    began_at: float
    ends_at: float
    responses: int = 0
    errors: int = 0
    answers_due: float | None = None
    silent: set[int] = field(default_factory=set)

    @property
    def deadline(self) -> float:
        """When it has to be judged, if nothing happens before."""
        return self.ends_at if self.answers_due is None else self.answers_due

    def hear(self, told: WorkerAnswered | WorkerAlive) -> None:
        """A worker of the generation told this."""
        match told:
            case WorkerAnswered(_, responses, errors):
                self.responses += responses
                self.errors += errors
            case WorkerAlive(worker):
                self.silent.discard(worker)

    def ask(self, workers: Collection[int], now: float) -> None:
        """The time is up, and these are asked whether they are there."""
        self.silent = set(workers)
        self.answers_due = now + ANSWER_SECONDS

    def no_answer(self, now: float) -> str:
        """As `objection`: who should have said by now that it is there."""
        if not self.silent or self.answers_due is None or now < self.answers_due:
            return ""
        return f"its worker {min(self.silent)} did not answer for {ANSWER_SECONDS:g} s"

    def objection(self, max_errors: float | None, *, at_the_end: bool) -> str:
        """Why the generation should go, to complete the sentence "it was rolled back: ..."; empty if nothing does."""
        enough = self.responses >= FEWEST_RESPONSES or at_the_end
        if max_errors is None or not enough or self.errors <= max_errors * self.responses:
            return ""
        most = f"{100 * max_errors:.3g}%"
        return f"{self.errors} of its {self.responses} responses were server errors, which is more than {most}"
