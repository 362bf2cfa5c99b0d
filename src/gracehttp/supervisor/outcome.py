"""How a command ended, and who is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended."""

    ok: bool
    message: str
    details: str = ""
    generation: int = 0
    pids: list[int] = field(default_factory=list)

    def as_answer(self) -> dict[str, Any]:
        return {
            "done": True, "ok": self.ok, "message": self.message, "details": self.details,
            "generation": self.generation, "pids": self.pids,
        }  # fmt: skip


class Requester(Protocol):
    """Somebody who asked for something, and is told once how it ended."""

    def tell(self, outcome: Outcome) -> None: ...
