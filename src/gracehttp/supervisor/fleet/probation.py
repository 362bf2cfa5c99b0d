"""The time in which a generation has to prove itself, while the one before stands by. Pure."""

from __future__ import annotations

from dataclasses import dataclass

FEWEST_RESPONSES = 20
"""Before so many responses were counted, the share of errors among them says nothing; but at the end it must do."""


@dataclass(slots=True)
class Probation:
    """Times are those of the fleet. `errors` are those of the `responses` that were server errors (5xx), or that the
    application broke off."""

    began_at: float
    ends_at: float
    responses: int = 0
    errors: int = 0

    def count(self, responses: int, errors: int) -> None:
        self.responses += responses
        self.errors += errors

    def objection(self, max_errors: float | None, *, at_the_end: bool) -> str:
        """Why the generation should go, to complete the sentence "it was rolled back: ..."; empty if nothing does."""
        enough = self.responses >= FEWEST_RESPONSES or at_the_end
        if max_errors is None or not enough or self.errors <= max_errors * self.responses:
            return ""
        most = f"{100 * max_errors:.3g}%"
        return f"{self.errors} of its {self.responses} responses were server errors, which is more than {most}"
