"""What `gracehttp --version` says."""

from __future__ import annotations

from gracehttp.compiled import BUILD
from gracehttp.compiled import check as check_build
from gracehttp.console import echo
from gracehttp.errors import GraceHTTPError
from gracehttp.release import RELEASE


def tell_version() -> int:
    """Say it. Returns the exit status: a build that is asked for and isn't there is an error, as it is to `serve`."""
    try:
        check_build()
    except GraceHTTPError as error:
        echo(f"gracehttp: error: {error}", err=True)
        return error.exit_status
    echo(f"gracehttp {RELEASE}, {BUILD}")
    return 0
