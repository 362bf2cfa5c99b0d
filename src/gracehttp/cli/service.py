"""What `gracehttp serve` does with its options."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gracehttp.cli.arguments import CONFIG
from gracehttp.config import load
from gracehttp.wire.lineage import is_first_process


def run_service(values: Mapping[str, object]) -> None:
    """Run the service that `values` describe, as `arguments.read` gives them. Raises `GraceHTTPError`."""
    options = dict(values)
    file = options.pop(CONFIG, None)
    assert file is None or isinstance(file, Path)
    # A worker runs the same command line: the first process has told of mistyped variables.
    mistyped = is_first_process(os.environ)
    configuration = load(cli=options, environ=os.environ, file=file, find_mistyped=mistyped)
    from gracehttp.api import GraceHTTP  # help must not wait for the server's modules

    GraceHTTP.from_configuration(configuration).run()
