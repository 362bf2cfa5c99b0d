"""Where the command begins, in supervisors and workers too: `serve` with plain arguments, which needs no click."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from gracehttp.wire.lineage import SPARE_VARIABLE


def main(args: Sequence[str] | None = None) -> None:
    """Run the command that `args` (default: those of this process) name, and exit with its status."""
    arguments = sys.argv[1:] if args is None else list(args)
    if SPARE_VARIABLE in os.environ:
        from gracehttp.worker.forking.spare import wait_if_spare  # a process that waits here loads much

        wait_if_spare(os.environ, _read_options_once)
    if arguments in (["--version"], ["-V"]):
        from gracehttp.cli.version import tell_version

        sys.exit(tell_version())
    if arguments[:1] == ["serve"]:
        from gracehttp.cli.arguments import read
        from gracehttp.cli.endings import errors_end_the_command

        with errors_end_the_command():
            values = read(arguments[1:], os.environ)
            if values is not None:
                from gracehttp.cli.service import run_service

                run_service(values)
                sys.exit()
    from gracehttp.cli.program import program  # click, for all that people read

    program.main(arguments, prog_name="gracehttp")


def _read_options_once() -> None:
    """So that the code that reads them runs faster the next time (PEP 659). Nothing that is wrong with them matters."""
    from gracehttp.cli.arguments import read

    with contextlib.suppress(Exception):
        read(sys.argv[2:], os.environ)
