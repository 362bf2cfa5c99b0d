"""Configuration: what was written, in several places, turned into options that are checked and complete.

The command line goes before the environment, that before the file, that before the defaults. Nothing here opens a
socket, imports an application or logs. The options themselves stand in config/model.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gracehttp.config.combinations import check_unix_mode
from gracehttp.config.model import (
    DEFAULT_BIND,
    OPTIONS,
    PROCESS_OPTIONS,
    SERVER_OPTIONS,
    Configuration,
    Option,
    ProcessOptions,
    ServerOptions,
)
from gracehttp.config.resolve import Resolved, resolve, resolve_servers, values_of
from gracehttp.config.sources import (
    Source,
    from_command_line,
    from_environment,
    from_keywords,
    mistyped_variables,
    read_file,
)
from gracehttp.errors import ConfigurationError
from gracehttp.wire.lineage import is_first_process

__all__ = [
    "OPTIONS",
    "PROCESS_OPTIONS",
    "SERVER_OPTIONS",
    "Configuration",
    "Option",
    "ProcessOptions",
    "ServerOptions",
    "load",
    "mistyped_variables",
    "places",
    "process_options",
    "reject_duplicates",
    "server_options",
]


def process_options(**values: object) -> ProcessOptions:
    """The options of the program from keyword arguments, in any form that a file would allow (`"30s"`).

    None stands for the default. Raises `ConfigurationError`.
    """
    resolved = resolve(PROCESS_OPTIONS, [from_keywords(values, PROCESS_OPTIONS)])
    return ProcessOptions(**values_of(resolved))


def server_options(
    app: object, *, bind: str | Sequence[str] = DEFAULT_BIND, **values: object
) -> tuple[ServerOptions, ...]:
    """The options of one server per address in `bind`, with the settings in the query of each address applied.

    `values` may have any form that a file would allow; None stands for the default. Raises `ConfigurationError`.
    """
    if app is None:
        raise ConfigurationError(
            "no application was given: it is None.", hint='give the application itself, or its name such as "main:app"'
        )
    source = from_keywords({"app": app, "bind": bind, **values}, SERVER_OPTIONS)
    return _checked(resolve_servers([source]))


def load(*, cli: Mapping[str, object], environ: Mapping[str, str], file: Path | None) -> Configuration:
    """The configuration from the options of the command line, the environment and a TOML file.

    `cli` maps names of options to their text; None stands for one that was not given. Raises `ConfigurationError`.
    """
    above = [from_command_line(cli), from_environment(environ)]
    below: list[Source] = []
    tables: tuple[Source, ...] = ()
    if file is not None:
        read = read_file(file)
        below, tables = [read.top], read.servers
    _reject_ambiguous(above, tables)
    process = resolve(PROCESS_OPTIONS, [*above, *below])
    stacks = [[*above, table, *below] for table in tables] or [[*above, *below]]
    servers = [server for stack in stacks for server in resolve_servers(stack)]
    checked = _checked(servers)
    origins = {name: origin for name, (_, origin) in process.items()}
    for index, (_, resolved) in enumerate(servers):
        origins.update({f"servers.{index}.{name}": origin for name, (_, origin) in resolved.items()})
    return Configuration(
        process=ProcessOptions(**values_of(process)),
        servers=checked,
        origins=origins,
        mistyped=tuple(mistyped_variables(environ)) if is_first_process(environ) else (),
    )


def places(*, environ: Mapping[str, str], file: Path | None) -> tuple[str | None, str | None]:
    """The pidfile and the control socket of the service that runs with this environment and file; None: it has none.

    The rest of the file is read, but no application is looked for. Raises `ConfigurationError`.
    """
    sources = [from_environment(environ)] + ([read_file(file).top] if file is not None else [])
    values = values_of(resolve({name: PROCESS_OPTIONS[name] for name in ("pidfile", "control")}, sources))
    return values["pidfile"], values["control"]


def _checked(servers: Sequence[tuple[ServerOptions, Resolved]]) -> tuple[ServerOptions, ...]:
    """The servers, if they go together. Raises `ConfigurationError`."""
    reject_duplicates(server for server, _ in servers)
    check_unix_mode((server, resolved["unix_mode"][1]) for server, resolved in servers)
    return tuple(server for server, _ in servers)


def reject_duplicates(servers: Iterable[ServerOptions]) -> None:
    """Raise `ConfigurationError` when two of `servers` have the same address.

    That holds for port 0 too: an address is the name of its listener through all restarts.
    """
    seen = set()
    for server in servers:
        address = server.bind.address
        if address in seen:
            raise ConfigurationError(
                f"two servers have the same address, {address}.", hint="give each server a bind of its own"
            )
        seen.add(address)


def _reject_ambiguous(above: Iterable[Source], tables: Sequence[Source]) -> None:
    """What stands outside the file can't replace the address, or an application, of one of several servers."""
    if len(tables) < 2:
        return
    own = [name for name in ("app", "bind") if name == "bind" or any(name in table.values for table in tables)]
    for source in above:
        for name in own:
            if name in source.values:
                place = source.place(SERVER_OPTIONS[name])
                raise ConfigurationError(
                    f"{place} can't be given: the file has {len(tables)} servers, each with its own {name}.",
                    hint=f"leave {place} away, or change {name} in the file",
                )
