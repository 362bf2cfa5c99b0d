"""`gracehttp serve`: run the service."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gracehttp.cli.options import ConfiguredCommand, configured
from gracehttp.config import load
from gracehttp.wire.lineage import is_first_process


@click.command(cls=ConfiguredCommand)
@configured
def serve(config_file: Path | None, **values: object) -> None:
    """Serve APP until told to stop.

    APP is an import string: main:app, package.module:attribute or, with --factory, main:create_app. It can also
    stand in the environment (GRACEHTTP_APP) or in the file of --config.

    \b
    gracehttp serve main:app
    gracehttp serve main:app -w 4 -b :8000 -b 'https://:8443?certfile=cert.pem&keyfile=key.pem'
    gracehttp serve -c gracehttp.toml
    """
    # A worker runs the same command line: the first process has told of mistyped variables.
    mistyped = is_first_process(os.environ)
    configuration = load(cli=values, environ=os.environ, file=config_file, find_mistyped=mistyped)
    from gracehttp.api import GraceHTTP  # help must not wait for the server's modules

    GraceHTTP.from_configuration(configuration).run()
