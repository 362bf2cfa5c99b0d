"""`gracehttp check`: everything that can be found wrong without serving."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from gracehttp.cli.checking.imports import try_import
from gracehttp.cli.options import ConfiguredCommand, configured
from gracehttp.cli.place_trials import AddressTrial, ControlTrial, PidFileTrial
from gracehttp.config import PROCESS_OPTIONS, SERVER_OPTIONS, Configuration, ServerOptions, load
from gracehttp.config.files import check_certificates
from gracehttp.console import say
from gracehttp.errors import GraceHTTPError
from gracehttp.events import VariableIgnored


@click.command(cls=ConfiguredCommand)
@configured
def check(config_file: Path | None, **values: object) -> None:
    """Try the options, certificates and applications.

    Takes what serve takes, and shows what each option amounts to and where that comes from. Then it tries what can
    be tried without side effects, also beside a service that runs: each application is imported, in a process of
    its own; certificates and keys are read; host names are resolved; the folders of pidfile, control socket and Unix
    sockets, and what is there already, are looked at.

    Not tried: whether a port is free, the lifespan startup, warm-up requests, what only the running service can know.

    The exit status is 0 if all of that is well, else that with which serve would fail.

    \b
    gracehttp check main:app
    gracehttp check -c gracehttp.toml
    """
    configuration = load(cli=values, environ=os.environ, file=config_file)
    say("\n".join(report(configuration)))
    for name, meant in configuration.mistyped:
        say(f"note: {VariableIgnored(name, meant)}")
    failures = [failure for failure in map(_try, _trials(configuration)) if failure is not None]
    if failures:
        raise click.exceptions.Exit(failures[0].exit_status)


def report(configuration: Configuration) -> list[str]:
    """The lines that show each option, its value and its origin."""
    lines = ["program"]
    rows = [
        (name, option.kind.show(getattr(configuration.process, name)), configuration.origins.get(name, ""))
        for name, option in PROCESS_OPTIONS.items()
    ]
    lines += _table(rows)
    for index, server in enumerate(configuration.servers):
        lines.append(f"server {index + 1}, {_scheme(server)} on {server.bind.address}")
        rows = [
            (name, _shown(server, name), configuration.origins.get(f"servers.{index}.{name}", ""))
            for name in SERVER_OPTIONS
        ]
        lines += _table(rows)
    return lines


def _scheme(server: ServerOptions) -> str:
    return "HTTPS" if server.tls else "HTTP"


def _shown(server: ServerOptions, name: str) -> str:
    return str(server.bind.address) if name == "bind" else SERVER_OPTIONS[name].kind.show(getattr(server, name))


def _table(rows: list[tuple[str, str, str]]) -> Iterable[str]:
    names = max(len(name) for name, _, _ in rows)
    values = max(len(value) for _, value, _ in rows)
    return [f"  {name:{names}}  {value:{values}}  {origin}".rstrip() for name, value, origin in rows]


class _CertificateTrial:
    """Whether a certificate and its key can be used."""

    def __init__(self, server: ServerOptions) -> None:
        self._server = server

    def run(self) -> str:
        from gracehttp.tls import server_context  # help must not wait for the server's modules

        server = self._server
        assert server.certfile is not None
        check_certificates([server])
        server_context(server.certfile, server.keyfile, server.keyfile_password)
        return f"certificate {server.certfile}"


class _ApplicationTrial:
    """Whether an application can be imported. `interface` is set when it could."""

    def __init__(self, configuration: Configuration, server: ServerOptions) -> None:
        self._process = configuration.process
        self._server = server
        self.name = str(server.app)
        self.interface: str | None = None

    def run(self) -> str:
        server = self._server
        self.interface = try_import(
            str(server.app),
            factory=server.factory,
            interface=server.interface,
            app_dir=self._process.app_dir,
            timeout_seconds=self._process.ready_timeout,
        )
        return f"application {server.app} ({self.interface.upper()})"


class _LifespanTrial:
    """Whether the applications that could be imported have the lifespan that is asked for."""

    def __init__(self, configuration: Configuration, applications: Sequence[_ApplicationTrial]) -> None:
        self._mode = configuration.process.lifespan
        self._applications = applications

    def run(self) -> str:
        from gracehttp.worker.lifespan import check_mode  # help must not wait for the server's modules

        check_mode(self._mode, [(one.name, one.interface or "unknown") for one in self._applications])
        return f"lifespan {self._mode}"


_Trial = _CertificateTrial | _ApplicationTrial | _LifespanTrial | PidFileTrial | ControlTrial | AddressTrial


def _trials(configuration: Configuration) -> list[_Trial]:
    """What is to be tried: each place, each certificate and each application once."""
    trials: dict[object, _Trial] = {}
    if configuration.process.pidfile is not None:
        trials["pidfile"] = PidFileTrial(configuration.process.pidfile)
    if configuration.process.control is not None:
        trials["control"] = ControlTrial(configuration.process.control)
    for server in configuration.servers:
        trials[server.bind.address] = AddressTrial(server.bind.address)
        if server.certfile is not None:
            key = (server.certfile, server.keyfile, server.keyfile_password)
            trials.setdefault(key, _CertificateTrial(server))
        trials.setdefault((server.app, server.factory, server.interface), _ApplicationTrial(configuration, server))
    applications = [trial for trial in trials.values() if isinstance(trial, _ApplicationTrial)]
    lifespan = [_LifespanTrial(configuration, applications)] if configuration.process.lifespan == "on" else []
    return [*trials.values(), *lifespan]


def _try(trial: _Trial) -> GraceHTTPError | None:
    """Run `trial`, and print how it ended."""
    if isinstance(trial, ControlTrial) and (note := trial.note()):
        say(f"note: {note}")
        return None
    try:
        say(f"ok: {trial.run()}")
    except GraceHTTPError as error:
        say(f"gracehttp: error: {error}", err=True)
        return error
    return None
