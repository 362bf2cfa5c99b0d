"""Whether there is to be a spare process. The supervisor asks before it has loaded what workers need."""

from __future__ import annotations

import os
import sys

from gracehttp.config import ProcessOptions


def wants_spare(process: ProcessOptions) -> bool:
    """Whether the options ask for a spare process, and this program can have one. With a single worker there
    is no memory to share."""
    return (process.spare == "on" or (process.spare == "auto" and process.workers > 1)) and is_the_command()


def is_the_command() -> bool:
    """Whether this is the command `gracehttp` itself. A program of the user that calls it does so after code of its
    own, which each worker must run."""
    name = sys.argv[0]
    return os.path.basename(os.path.dirname(name) if name.endswith("__main__.py") else name) == "gracehttp"
