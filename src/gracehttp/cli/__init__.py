"""The command line. `main` is what the command `gracehttp` calls."""

from __future__ import annotations

from gracehttp.cli.program import main

__all__ = ["main"]
