"""How a command shows its progress: at a terminal as one line that changes, elsewhere as one line for each step."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Final

from gracehttp.console import echo
from gracehttp.wire.control import GenerationStatus, Progress, Status

_NOTABLE: Final = ("notice", "warning", "error")
_ERASE: Final = "\r\x1b[K"
"""EL of ECMA-48: erase from the cursor to the end of the line."""


class Steps:
    """Prints each step as a line of its own on standard error."""

    def tell(self, progress: Progress) -> None:
        if progress.severity != "debug":
            echo(_first_line(progress.progress), err=True)

    def show(self, text: str) -> None:
        """What changes by and by is for a terminal."""

    def clear(self) -> None:
        """There is nothing to erase."""


class LiveLine(Steps):
    """The last line of the terminal, which says what goes on. What is worth keeping stands above it."""

    def tell(self, progress: Progress) -> None:
        if progress.severity in _NOTABLE:
            self.clear()
            echo(_first_line(progress.progress), err=True)
        else:
            self.show(text_of(progress))

    def show(self, text: str) -> None:
        width = shutil.get_terminal_size().columns
        self._write(f"{_ERASE}{text[: width - 1]}")

    def clear(self) -> None:
        self._write(_ERASE)

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:  # the terminal is gone: the command goes on
            pass


def progress_display() -> Steps:
    """That which fits where standard error leads."""
    at_a_terminal = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") not in (None, "", "dumb")
    return LiveLine() if at_a_terminal else Steps()


def text_of(progress: Progress) -> str:
    """What the live line says."""
    if progress.doing:
        return f"generation {progress.generation}: {progress.doing}"
    if progress.wanted:
        return f"generation {progress.generation}: ready {progress.ready} of {progress.wanted}"
    return _first_line(progress.progress)


def drain_text(status: Status) -> str:
    """Which generations drain, and how many connections their workers still have; "" if none does."""
    return "; ".join(_drain_of(one) for one in status.generations if one.state == "draining")


def stop_text(status: Status, seconds: float) -> str:
    """What a stop still waits for after `seconds`, "" if nothing. Its listeners are closed, and with them goes the
    knowledge of their connections."""
    left = sum(len(one.workers) for one in status.generations)
    return f"{left} worker{'' if left == 1 else 's'} left to drain after {seconds:.0f} s" if left else ""


def _drain_of(generation: GenerationStatus) -> str:
    known = [worker.connections for worker in generation.workers if worker.connections is not None]
    left = f", {sum(known)} connection{'' if sum(known) == 1 else 's'} left" if known else ""
    return f"generation {generation.generation} is draining{left}"


def _first_line(sentence: str) -> str:
    """Tracebacks come with the result."""
    return sentence.partition("\n")[0]
