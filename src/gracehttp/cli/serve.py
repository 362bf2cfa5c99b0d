"""`gracehttp serve`, as click knows it: its help, and what is wrong with its arguments."""

from __future__ import annotations

import click

from gracehttp.cli.options import ConfiguredCommand, configured
from gracehttp.cli.service import run_service


@click.command(cls=ConfiguredCommand)
@configured
def serve(**values: object) -> None:
    """Serve APP until told to stop.

    APP is an import string: main:app, package.module:attribute or, with --factory, main:create_app. It can also
    stand in the environment (GRACEHTTP_APP) or in the file of --config.

    \b
    gracehttp serve main:app
    gracehttp serve main:app -w 4 -b :8000 -b 'https://:8443?certfile=cert.pem&keyfile=key.pem'
    gracehttp serve -c gracehttp.toml
    """
    run_service(values)
