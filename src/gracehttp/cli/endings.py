"""How an error ends a command: one clear sentence, and an exit status."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from gracehttp.console import echo
from gracehttp.errors import EXIT_INTERRUPTED, GraceHTTPError


@contextlib.contextmanager
def errors_end_the_command() -> Iterator[None]:
    """An error of ours within the block is told, and ends the process with its status. Raises SystemExit."""
    try:
        yield
    except GraceHTTPError as error:
        echo(f"gracehttp: error: {error}", err=True)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        # The user who pressed Ctrl+C needs no message.
        sys.exit(EXIT_INTERRUPTED)
