"""Configuration: from what was written, in several places, to options that are checked and complete.

The order of precedence: the command line, the environment, the file, variables which other programs know too (PORT),
the defaults.

Start reading in `model`: it declares each option once, with one of the `types`; `readers` reads values that have a form
of their own. `sources` are the places where values come from, `resolve` chooses among them, `checks` looks at options
together and at the files that they name. `units` reads durations and sizes, `env_file` files of variables,
`access_format` formats of the access log, `import_string` the names of applications. `near_names` tells what an unknown
name was probably meant to be, `foreign_names` what one of another server is here (docs/make_foreign_names.py writes
it). `keywords` has the types of keyword arguments, which docs/make_keywords.py writes. `release_links` and
`certificate_files` tell which paths a process has to look at.

Nothing here opens a socket, imports an application or logs. It may import `net.address`, `errors`, `hints` and
`values`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gracehttp.config.checks import check_authorities, check_unix_mode, reject_duplicates
from gracehttp.config.env_file import completed
from gracehttp.config.model import (
    OPTIONS,
    PROCESS_OPTIONS,
    SERVER_OPTIONS,
    Configuration,
    Option,
    ProcessOptions,
    ServerOptions,
)
from gracehttp.config.resolve import ADDRESS_OPTIONS, Resolved, resolve, resolve_servers, values_of
from gracehttp.config.sources import (
    Source,
    from_command_line,
    from_common_variables,
    from_environment,
    from_keywords,
    mistyped_variables,
    read_file,
    read_keys,
    split_keywords,
)
from gracehttp.errors import ConfigurationError

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
    "split_keywords",
]


def process_options(**values: object) -> ProcessOptions:
    """The options of the program from keyword arguments, in any form that a file would allow (`"30s"`).

    None stands for the default. Raises `ConfigurationError`.
    """
    resolved = resolve(PROCESS_OPTIONS, [from_keywords(values, PROCESS_OPTIONS)])
    return ProcessOptions(**values_of(resolved))


def server_options(
    app: object, *, bind: str | Sequence[str] | None = None, **values: object
) -> tuple[ServerOptions, ...]:
    """The options of one server per address in `bind`, with the settings in the query of each address applied.

    `host` and `port` may say it instead.

    `values` may have any form that a file would allow; None stands for the default. Raises `ConfigurationError`.
    """
    if app is None:
        raise ConfigurationError(
            "no application was given: it is None.", hint='give the application itself, or its name such as "main:app"'
        )
    source = from_keywords({"app": app, "bind": bind, **values}, SERVER_OPTIONS)
    return _checked(resolve_servers([source]))


def load(
    *, cli: Mapping[str, object], environ: Mapping[str, str], file: Path | None, find_mistyped: bool = True
) -> Configuration:
    """The configuration from the options of the command line, the environment and a TOML file.

    `cli` maps names of options to their text; None stands for an option that wasn't given. With `find_mistyped`,
    variables that look like a misspelled option are listed. Raises `ConfigurationError`.
    """
    below: list[Source] = []
    tables: tuple[Source, ...] = ()
    hooks: tuple[tuple[str, object, str], ...] = ()
    if file is not None:
        read = read_file(file)
        below, tables = [read.top], read.servers
        hooks = read.hooks
    command_line = from_command_line(cli)
    environ = _with_env_files(environ, [command_line, from_environment(environ), *below])
    above = [command_line, from_environment(environ)]
    below.append(from_common_variables(environ))
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
        mistyped=tuple(mistyped_variables(environ)) if find_mistyped else (),
        hooks=hooks,
    )


def places(*, environ: Mapping[str, str], file: Path | None, whole_file: bool = True) -> tuple[str | None, str | None]:
    """The pidfile and the control socket of a service with this environment and file; None where it has none.

    The file must be readable, but needs no application. Without `whole_file`, what else is wrong in it is passed over
    as long as it names one of the two. Raises `ConfigurationError`.
    """
    if file is None:
        below = []
    elif whole_file:
        below = [read_file(file).top]
    else:
        below = [read_keys(file, ("pidfile", "control", "env_file"))]
    environ = _with_env_files(environ, [from_environment(environ), *below])
    sources = [from_environment(environ), *below]
    values = values_of(resolve({name: PROCESS_OPTIONS[name] for name in ("pidfile", "control")}, sources))
    found = values["pidfile"], values["control"]
    if not whole_file and found == (None, None):
        return places(environ=environ, file=file)  # is the name of one misspelled?
    return found


def _with_env_files(environ: Mapping[str, str], sources: Sequence[Source]) -> Mapping[str, str]:
    """`environ`, and what it lacks from the files that `sources` name as env_file."""
    paths, _ = resolve({"env_file": PROCESS_OPTIONS["env_file"]}, sources)["env_file"]
    assert isinstance(paths, tuple)
    return completed(environ, paths)


def _checked(servers: Sequence[tuple[ServerOptions, Resolved]]) -> tuple[ServerOptions, ...]:
    """The servers, after the checks that look at all of them. Raises `ConfigurationError`."""
    reject_duplicates(server for server, _ in servers)
    check_unix_mode((server, resolved["unix_mode"][1]) for server, resolved in servers)
    check_authorities((server, resolved["ssl_ca"][1]) for server, resolved in servers)
    return tuple(server for server, _ in servers)


def _reject_ambiguous(above: Iterable[Source], tables: Sequence[Source]) -> None:
    """Raise `ConfigurationError` if a source outside the file has an address, or an application, and the file has
    several servers with their own: it can't be meant for all of them."""
    if len(tables) < 2:
        return
    own = [name for name in ("app", *ADDRESS_OPTIONS) if name != "app" or any(name in one.values for one in tables)]
    for source in above:
        for name in own:
            if name in source.values:
                place = source.place(SERVER_OPTIONS[name])
                what = "app" if name == "app" else "bind"
                raise ConfigurationError(
                    f"{place} can't be given: the file has {len(tables)} servers, each with its own {what}.",
                    hint=f"leave {place} away, or change {what} in the file",
                )
