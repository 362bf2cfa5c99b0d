"""`gracehttp check`: what can be found wrong without serving."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import click

from gracehttp.cli.checking.certificates import check_certificate, tls_of
from gracehttp.cli.checking.hooks import check_hook, read_hook
from gracehttp.cli.checking.imports import try_import
from gracehttp.cli.checking.tls_handover import check_tls_handover
from gracehttp.cli.options import ConfiguredCommand, configured
from gracehttp.config import PROCESS_OPTIONS, SERVER_OPTIONS, Configuration, ProcessOptions, ServerOptions, load
from gracehttp.config.env_file import add_variables
from gracehttp.console import echo
from gracehttp.errors import GraceHTTPError
from gracehttp.events import VariableIgnored
from gracehttp.system.surroundings import enter


@click.command(cls=ConfiguredCommand)
@configured
@click.option("--verbose", "-v", is_flag=True, help="Show all options, also those that have their default.")
def check(config_file: Path | None, verbose: bool, **values: object) -> None:
    """Try the options, certificates and applications.

    Takes what serve takes, and shows what the options that were given amount to and where that comes from, with
    --verbose all of them. Then it tries what can be tried without side effects, also beside a running service. It
    imports each application and hook, in a process of its own, reads certificates, keys and the file of --log-config,
    and looks for user and group.

    Not tried: addresses, pidfile and control socket, handlers of the log, the lifespan startup, warm-up requests. serve
    and restart tell what is wrong with those, and a restart that fails leaves the running service untouched.

    The exit status is 0 if all of that is well, else that with which serve would fail. An expired certificate fails
    here alone.

    \b
    gracehttp check main:app
    gracehttp check -c gracehttp.toml
    """
    configuration = load(cli=values, environ=os.environ, file=config_file)
    add_variables(os.environ, configuration.process.env_file)
    enter(configuration.process.chdir, configuration.process.umask)
    echo("\n".join(report(configuration, verbose=verbose)))
    for name, meant in configuration.mistyped:
        echo(f"note: {VariableIgnored(name, meant)}")
    if any(server.h2 == "on" if server.tls else server.h2c for server in configuration.servers):
        _tell_of_missing_http2()
    failures = [failure for failure in map(_failure, _checks(configuration)) if failure is not None]
    if failures:
        raise click.exceptions.Exit(failures[0].exit_status)


def report(configuration: Configuration, *, verbose: bool = True) -> list[str]:
    """The lines that show each option, its value and its origin; without `verbose` those that were given."""
    lines = ["program"]
    rows = [
        (name, option.kind.show(getattr(configuration.process, name)), configuration.origins.get(name, ""))
        for name, option in PROCESS_OPTIONS.items()
    ]
    lines += _table(rows if verbose else _given(rows))
    for index, server in enumerate(configuration.servers):
        lines.append(f"server {index + 1}, {'HTTPS' if server.tls else 'HTTP'} on {server.bind.address}")
        rows = [
            (name, _shown(server, name), configuration.origins.get(f"servers.{index}.{name}", ""))
            for name in SERVER_OPTIONS
        ]
        lines += _table(rows if verbose else _given(rows))
    if not verbose:
        lines.append("(all else has its default: --verbose shows it)")
    return lines


def _given(rows: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    return [row for row in rows if row[2] not in {"", "default"}]


def _shown(server: ServerOptions, name: str) -> str:
    return str(server.bind.address) if name == "bind" else SERVER_OPTIONS[name].kind.show(getattr(server, name))


def _table(rows: list[tuple[str, str, str]]) -> Iterable[str]:
    names = max((len(name) for name, _, _ in rows), default=0)
    values = max((len(value) for _, value, _ in rows), default=0)
    return [f"  {name:{names}}  {value:{values}}  {origin}".rstrip() for name, value, origin in rows]


_Check = Callable[[], str]
"""Raises `GraceHTTPError`, or returns what is well."""


def _failure(check: _Check) -> GraceHTTPError | None:
    """Run `check` and print its result. Returns its error, if it has one."""
    try:
        echo(f"ok: {check()}")
    except GraceHTTPError as error:
        echo(f"gracehttp: error: {error}", err=True)
        return error
    return None


def _checks(configuration: Configuration) -> Iterator[_Check]:
    """The checks of user and group, of the file for logging, of each certificate, application and hook, once, and of
    the lifespan mode."""
    process = configuration.process
    if process.user is not None or process.group is not None:
        yield partial(_check_user, process.user, process.group)
    if process.log_config is not None:
        yield partial(_check_log_config, process.log_config)
    seen: set[object] = set()
    interfaces: list[tuple[str, str]] = []
    for server in configuration.servers:
        if server.certfile and (tls := tls_of(server)) not in seen:
            seen.add(tls)
            yield partial(check_certificate, server)
        if server.tls and server.tls_handover and check_tls_handover not in seen:
            seen.add(check_tls_handover)
            yield check_tls_handover
        application = (server.app, server.factory, server.interface)
        if application not in seen:
            seen.add(application)
            yield partial(_check_application, process, server, interfaces)
    if process.lifespan == "on":
        yield partial(_check_lifespan, process.lifespan, interfaces)
    yield from _checks_of_hooks(configuration)


def _checks_of_hooks(configuration: Configuration) -> Iterator[_Check]:
    """Each entry of `[hooks]` is read, and each function in them loaded once."""
    process = configuration.process
    seen: set[str] = set()
    for entry in configuration.hooks:
        try:
            names = read_hook(*entry)
        except GraceHTTPError as error:
            yield partial(_raise, error)
            continue
        for name in names:
            if name not in seen:
                seen.add(name)
                yield partial(check_hook, name, process.app_dir, process.ready_timeout)


def _raise(error: GraceHTTPError) -> str:
    raise error


def _check_application(process: ProcessOptions, server: ServerOptions, interfaces: list[tuple[str, str]]) -> str:
    """Import the application of `server`, and add its name and interface to `interfaces`."""
    name, interface = str(server.app), "unknown"
    try:
        interface = try_import(
            name,
            factory=server.factory,
            interface=server.interface,
            app_dir=process.app_dir,
            timeout_seconds=process.ready_timeout,
        )
    finally:
        interfaces.append((name, interface))
    return f"application {name} ({interface.upper()})"


def _check_user(user: str | None, group: str | None) -> str:
    """That the system knows them. Whether this process may become them is told at the start."""
    from gracehttp.system.credentials import look_up  # help must not wait for it

    look_up(user, group)
    return " and ".join(f"{what} {name}" for what, name in (("user", user), ("group", group)) if name is not None)


def _tell_of_missing_http2() -> None:
    from gracehttp.http.http2 import library  # help must not wait for the server's modules

    if not library.installed():
        echo(f"note: {library.MISSING}")


def _check_log_config(path: str) -> str:
    from gracehttp.observe.log_config import read_log_config  # help must not wait for logging.config

    read_log_config(path)
    return f"log_config {path} (its handlers are not tried)"


def _check_lifespan(mode: str, interfaces: list[tuple[str, str]]) -> str:
    from gracehttp.applications.asgi.lifespan import check_mode  # help must not wait for the server's modules

    check_mode(mode, interfaces)
    return f"lifespan {mode}"
