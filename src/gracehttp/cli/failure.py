"""How an error is told on the command line."""

from __future__ import annotations

from gracehttp.errors import GraceHTTPError


def describe(error: GraceHTTPError) -> str:
    """The lines for a terminal: what happened, what to try, and what else is known (such as a traceback)."""
    lines = [f"gracehttp: error: {error.message}"]
    if error.hint:
        lines.append(f"  hint: {error.hint}")
    if error.details:
        lines.append(error.details.rstrip())
    return "\n".join(lines)
