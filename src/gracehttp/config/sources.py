"""Where values come from: command line, environment, TOML file, keyword arguments, the query of an address.

Each becomes a `Source`: raw values by name, and words for the place. Keys are checked here, values in `resolve`.
Pure, except `read_file`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from gracehttp.config.model import ALIASES, OPTIONS, PROCESS_OPTIONS, SERVER_OPTIONS, Option
from gracehttp.config.near_names import foreign_key, near_variables, nearest_name
from gracehttp.config.release_links import as_released
from gracehttp.errors import ConfigurationError
from gracehttp.net.address import Bind
from gracehttp.values import Value

SERVER_TABLE = "server"
HOOKS_TABLE = "hooks"
UNKNOWN_OPTION = "gracehttp serve --help and docs/options.md list the options"
_PREFIX = "GRACEHTTP_"
_BARE_VALUE = re.compile(r"\s*(?P<key>[\w-]+)\s*=\s*(?P<value>[^\s\"'\[{#][^\"'#]*?)\s*(#.*)?")
"""A line of TOML whose value has no quotes."""


class Source(Value):
    """Raw values by the name of their option. `place` says in words where a value comes from.

    Relative paths are taken from `folder`; None leaves them relative to the working directory.
    """

    values: Mapping[str, object]
    place: Callable[[Option], str]
    folder: Path | None = None
    is_file: bool = False


class FileSources(Value):
    """A TOML file: its top level, one source per `[[server]]` table, and the entries of `[hooks]` with their place."""

    top: Source
    servers: tuple[Source, ...]
    hooks: tuple[tuple[str, object, str], ...] = ()


def from_command_line(values: Mapping[str, object]) -> Source:
    """The options that were given. For one that wasn't, click has None or an empty tuple."""
    _check_keys(values, OPTIONS, "an option of the command line")
    return Source(
        {name: value for name, value in values.items() if value not in (None, ())}, lambda option: option.flag
    )


def from_environment(environ: Mapping[str, str]) -> Source:
    """The variables of options that are set and not empty.

    Other variables with the same prefix are no error. A service of Kubernetes that is named "gracehttp" sets some. Its
    GRACEHTTP_PORT is an address such as tcp://10.0.0.1:80, which is not meant for us.
    """
    values = {name: environ[option.variable] for name, option in OPTIONS.items() if environ.get(option.variable)}
    if str(values.get("port", "")).startswith(("tcp://", "udp://")):
        del values["port"]
    return Source(values, lambda option: option.variable)


def from_common_variables(environ: Mapping[str, str]) -> Source:
    """Variables that other programs know too, such as PORT. They stand behind the file: what is set for many programs
    says less than what was written for this service."""
    common = {name: option.common_variable for name, option in OPTIONS.items() if option.common_variable}
    values = {name: environ[variable] for name, variable in common.items() if environ.get(variable)}
    return Source(values, lambda option: option.common_variable)


def mistyped_variables(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Variables that look like a misspelled option, each with the one that was probably meant."""
    return near_variables(environ, _PREFIX, [option.variable for option in OPTIONS.values()])


def from_keywords(values: Mapping[str, object], options: Mapping[str, Option]) -> Source:
    """Keyword arguments from Python; None stands for one that was not given."""
    given = _by_own_names({name: value for name, value in values.items() if value is not None}, "a keyword argument")
    _check_keys(given, options, "a keyword argument")
    return Source(given, lambda option: f"the argument {option.name}")


def split_keywords(values: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keyword arguments that are options of the program, and those that are options of a server.

    Raises `ConfigurationError` for one that is neither.
    """
    values = _by_own_names(values, "a keyword argument")
    _check_keys(values, OPTIONS, "a keyword argument")
    process = {name: value for name, value in values.items() if name in PROCESS_OPTIONS}
    return process, {name: value for name, value in values.items() if name in SERVER_OPTIONS}


def from_query(bind: Bind, folder: Path | None) -> Source:
    """The settings that stand in the query of an address."""
    place = f"the query of {bind.address}"
    settable = {name: option for name, option in SERVER_OPTIONS.items() if name != "bind"}
    values: dict[str, object] = {}
    for alias, value in bind.settings:
        name = ALIASES.get(alias, alias)
        _check_keys([name], settable, place)
        if settable[name].kind.repeatable:
            given = values.setdefault(name, ())
            assert isinstance(given, tuple)
            values[name] = (*given, value)
        elif name in values:
            raise ConfigurationError(f"{place} gives a setting twice.", hint="give each only once")
        else:
            values[name] = value
    return Source(values, _always(place), folder)


def read_file(path: Path) -> FileSources:
    """Read the TOML file `path`. Raises `ConfigurationError` if it can't be read or has an unknown key."""
    return from_toml(_content(path), str(path), path.absolute().parent)


def read_keys(path: Path, names: Collection[str]) -> Source:
    """The options `names`, as far as they stand at the top level of the TOML file `path`. Nothing else in it counts.
    Raises `ConfigurationError` if the file can't be read."""
    wanted = {key: value for key, value in _content(path).items() if ALIASES.get(key, key) in names}
    return Source(_by_own_names(wanted, str(path)), _always(str(path)), path.absolute().parent, is_file=True)


def _content(path: Path) -> dict[str, object]:
    import tomllib  # most processes have no file

    data = b""
    try:
        with open(as_released(str(path.absolute())), "rb") as file:
            data = file.read()
        return tomllib.loads(data.decode())
    except OSError as exc:
        raise ConfigurationError(
            f"cannot read the configuration file {path}: {exc.strerror}.", hint=_near_file(path)
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not valid TOML: it is not UTF-8.", hint="see https://toml.io") from None
    except tomllib.TOMLDecodeError as exc:
        python = path.suffix == ".py"
        hint = f"gracehttp migrate {path} makes TOML of a file of gunicorn" if python else _toml_hint(str(exc), data)
        raise ConfigurationError(f"{path} is not valid TOML: {exc}.", hint=hint) from None


def _near_file(path: Path) -> str:
    """A hint at the files of options that are where `path` should be."""
    found = sorted(str(one) for one in path.parent.glob("*.toml") if one.name != "pyproject.toml")
    return f"there is {', '.join(found)}" if found and not path.exists() else ""


def _toml_hint(message: str, data: bytes) -> str:
    """What is to be written instead of the line that the message of tomllib tells, if it is the usual mistake."""
    line = re.match(r"(?:Invalid value|Expected newline).*at line (\d+)", message)
    pair = _BARE_VALUE.fullmatch(data.decode().split("\n")[int(line[1]) - 1].rstrip()) if line else None
    if pair is None:
        return "see https://toml.io"
    if pair["value"].lower() in ("true", "false"):
        return f"write {pair['key']} = {pair['value'].lower()}, in lower case"
    return f'a text stands in quotes: {pair["key"]} = "{pair["value"]}"'


def from_toml(content: Mapping[str, object], name: str, folder: Path) -> FileSources:
    """The sources in the `content` of a TOML file in `folder`. Messages call it `name`."""
    tables = content.get(SERVER_TABLE, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigurationError(
            f"server in {name} is not an array of tables.",
            hint="write [[server]], with two brackets on each side",
        )
    top = {key: value for key, value in content.items() if key not in (SERVER_TABLE, HOOKS_TABLE)}
    top = _by_own_names(top, name)
    hooks = content.get(HOOKS_TABLE, {})
    if not isinstance(hooks, dict):
        raise ConfigurationError(f"{HOOKS_TABLE} in {name} is no table.", hint=f"write [{HOOKS_TABLE}]")
    for key, value in top.items():
        if key not in OPTIONS and _is_table(value):
            raise ConfigurationError(f"{key!r} is no table ({name}).", hint=_meant_table(key))
    _check_keys(top, OPTIONS, name)
    servers = []
    for number, table in enumerate(tables, 1):
        place = f"{name}, server {number}"
        values = _by_own_names(table, place)
        _check_keys(values, SERVER_OPTIONS, place)
        servers.append(Source(values, _always(place), folder, is_file=True))
    place = f"{name}, [{HOOKS_TABLE}]"
    return FileSources(
        Source(top, _always(name), folder, is_file=True),
        tuple(servers),
        tuple((event, hook, place) for event, hook in hooks.items()),
    )


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict) for one in value))


def _meant_table(key: str) -> str:
    if key.lower().startswith(HOOKS_TABLE[:-1]):
        return f"did you mean [{HOOKS_TABLE}]?"
    tables = f"the tables are [[{SERVER_TABLE}]], one for each server, and [{HOOKS_TABLE}]"
    if key == "tool":
        return f"pyproject.toml isn't for this: write a file such as gracehttp.toml; {tables}"
    near = nearest_name(key.lower(), (SERVER_TABLE, "listener"))
    return f"did you mean [[{SERVER_TABLE}]]? {tables.capitalize()}" if near else tables


def _always(place: str) -> Callable[[Option], str]:
    return lambda option: place


def _by_own_names(values: Mapping[str, object], place: str) -> dict[str, object]:
    """`values` under the names that this program has for its options, where another server's was given."""
    own: dict[str, object] = {}
    for key, value in values.items():
        name = ALIASES.get(key, key)
        if name in own:
            raise ConfigurationError(
                f"{place} gives {name} twice, once as {key if key != name else 'itself'}.", hint="give it only once"
            )
        own[name] = value
    return own


def _check_keys(keys: Collection[str], known: Mapping[str, Option], place: str) -> None:
    for key in keys:
        if key not in known:
            raise _unknown_key(key, known, place)


def _unknown_key(key: str, known: Mapping[str, Option], place: str) -> ConfigurationError:
    """The error for a `key` that is not in `known`. It names the nearest one, or says where `key` belongs."""
    if key == "bind" and "bind" not in known and "app" in known:
        return ConfigurationError(f"bind can't stand in {place}.", hint="it is the address itself")
    if key in PROCESS_OPTIONS:
        return ConfigurationError(
            f"{key} is an option of the whole program, and can't be set for one server ({place}).",
            hint="set it at the top level of the file, on the command line, or with GraceHTTP(...)",
        )
    if key in SERVER_OPTIONS:
        return ConfigurationError(
            f"{key} is an option of a server, and can't be set for the whole program ({place}).",
            hint="set it with add_server(...)",
        )
    near = nearest_name(key.lower().replace("-", "_"), known)
    hint = foreign_key(key) or (f"did you mean {near}?" if near else UNKNOWN_OPTION)
    return ConfigurationError(f"{key!r} is no option ({place}).", hint=hint)
