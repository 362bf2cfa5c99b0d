"""From sources to values: which source wins, each value in the form of the program, one server per address. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gracehttp.config.model import DEFAULT_BIND, SERVER_OPTIONS, Option, ServerOptions
from gracehttp.config.readers import UnreadableError
from gracehttp.config.sources import Source, from_query
from gracehttp.config.types import STANDARD_OUTPUT
from gracehttp.errors import ConfigurationError
from gracehttp.hints import Named, hint, in_file
from gracehttp.net.address import Address, Bind, UnixAddress, parse_bind
from gracehttp.values import EMPTY, Value

DEFAULT = "default"
_TLS_OPTIONS = ("certfile", "keyfile", "keyfile_password", "ssl_ca", "ssl_verify", "ssl_crl")
ADDRESS_OPTIONS = ("bind", "host", "port")
_ALL_BUT_ADDRESS = {name: option for name, option in SERVER_OPTIONS.items() if name not in ADDRESS_OPTIONS}
_LOOPBACK, _, _DEFAULT_PORT = DEFAULT_BIND.partition(":")
_ALL_IPV4 = "0.0.0.0"  # noqa: S104  what a platform that chooses the port by $PORT expects

Resolved = dict[str, tuple[object, str]]
"""Values by name, each with the words for where it comes from."""


def resolve(options: Mapping[str, Option], sources: Sequence[Source]) -> Resolved:
    """Each of `options` from the first of `sources` that has it, else its default."""
    resolved: Resolved = {}
    for name, option in options.items():
        source = next((source for source in sources if name in source.values), None)
        if source is not None:
            resolved[name] = (read_value(option, source), source.place(option))
        elif not option.required:
            resolved[name] = (option.default, DEFAULT)
        else:
            raise ConfigurationError(
                "no application was named.",
                hint="gracehttp serve main:app serves app from main.py; a file can set app",
            )
    return resolved


def read_value(option: Option, source: Source) -> object:
    """The value that `source` has for `option`. Raises `ConfigurationError` that names the place."""
    raw = source.values[option.name]
    try:
        value = option.kind.parse(raw)
    except UnreadableError as exc:
        shown = "the secret that was given" if option.kind.secret else _as_written(raw, in_toml=source.is_file)
        told = in_file(exc.hint) if source.is_file else exc.hint
        # Not `from exc`: a script then shows a single traceback, which ends with the sentence.
        raise ConfigurationError(
            f"{option.name} must be {exc}, not {shown} (from {source.place(option)}).", hint=told
        ) from None
    if source.folder is not None and option.kind.is_path and value not in (None, STANDARD_OUTPUT):
        # normpath instead of resolve: symbolic links must be followed anew at each restart.
        if isinstance(value, tuple):
            return tuple(os.path.normpath(source.folder / str(one)) for one in value)
        return os.path.normpath(source.folder / str(value))
    return value


def _as_written(raw: object, *, in_toml: bool) -> str:
    """`raw` for a message. The values of an option that was given several times are listed."""
    if in_toml and isinstance(raw, bool):
        return str(raw).lower()
    return ", ".join(map(repr, raw)) if isinstance(raw, tuple) and raw else repr(raw)


def resolve_servers(sources: Sequence[Source]) -> list[tuple[ServerOptions, Resolved]]:
    """One server per address that `sources` name, in their order."""
    address = _address(sources)
    if not address.texts:
        raise ConfigurationError(
            f"bind is empty (from {address.origin}).", hint="leave it away to listen on the default address"
        )
    return [_resolve_server(text, address, sources) for text in address.texts]


class _Address(Value):
    """Where to listen, as `--bind` would have it, and where that comes from. `parts` are host and port, if they were
    given. Relative paths are taken from `folder`."""

    texts: tuple[str, ...]
    origin: str
    folder: Path | None = None
    parts: Mapping[str, tuple[object, str]] = EMPTY


def _address(sources: Sequence[Source]) -> _Address:
    """The first of `sources` that says where to listen counts. Host and port may come from several, as long as none
    above has bind."""
    parts: Resolved = {}
    for source in sources:
        given = [name for name in ("host", "port") if name in source.values]
        if "bind" in source.values and given:
            one, other = (source.place(SERVER_OPTIONS[name]) for name in ("bind", given[0]))
            where = "" if one != other else f" (both in {one})"
            one, other = (one, other) if one != other else ("bind", given[0])
            raise ConfigurationError(
                f"{one} and {other} both say where to listen{where}.",
                hint=hint("give {} alone, or {} and {}", Named("bind"), Named("host"), Named("port")),
            )
        for name in given:
            if name not in parts and (value := read_value(SERVER_OPTIONS[name], source)) is not None:
                parts[name] = (value, source.place(SERVER_OPTIONS[name]))
        if "bind" in source.values and not parts:
            option = SERVER_OPTIONS["bind"]
            texts = read_value(option, source)
            assert isinstance(texts, tuple)
            return _Address(texts, source.place(option), source.folder)
    if not parts:
        return _Address((DEFAULT_BIND,), DEFAULT)
    from_platform = parts.get("port", (None, ""))[1] == SERVER_OPTIONS["port"].common_variable
    host = str(parts["host"][0]) if "host" in parts else _ALL_IPV4 if from_platform else _LOOPBACK
    port = parts["port"][0] if "port" in parts else _DEFAULT_PORT
    text = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return _Address((text,), " and ".join(dict.fromkeys(origin for _, origin in parts.values())), parts=parts)


def values_of(resolved: Resolved) -> dict[str, Any]:
    """The values without their origins."""
    return {name: value for name, (value, _) in resolved.items()}


def _resolve_server(text: str, address: _Address, sources: Sequence[Source]) -> tuple[ServerOptions, Resolved]:
    """The server on `text`, one of the texts of `address`."""
    bind = parse_bind(text)
    query = from_query(bind, address.folder)
    resolved = resolve(_ALL_BUT_ADDRESS, [query, *sources])
    for name in ("host", "port"):
        resolved[name] = address.parts.get(name, (None, DEFAULT))
    if text.lower().startswith("http://"):
        for name, what in (("certfile", "a certificate"), ("ssl_ca", "authorities of clients")):
            if query.values.get(name):
                raise ConfigurationError(f"http://{bind.address} is plain, and has {what}.", hint="write https://")
        _use_no_tls(resolved, "not used, http:// is plain")
    _settle_keys(resolved)
    tls = bind.tls or resolved["certfile"][0] != ()
    resolved["bind"] = (Bind(_anchored(bind.address, address.folder), tls), address.origin)
    return ServerOptions(**values_of(resolved)), resolved


def _settle_keys(resolved: Resolved) -> None:
    """A key without a file of its own is in the file of its certificate. A key without a certificate is an error."""
    certfiles, origin = resolved["certfile"]
    keyfiles, origin_of_keys = resolved["keyfile"]
    assert isinstance(certfiles, tuple)
    assert isinstance(keyfiles, tuple)
    if certfiles:
        if not keyfiles:
            resolved["keyfile"] = (certfiles, "as certfile")
        elif len(keyfiles) != len(certfiles):
            raise ConfigurationError(
                f"certfile (from {origin}) and keyfile (from {origin_of_keys}) differ in number: "
                f"{len(certfiles)} and {len(keyfiles)}.",
                hint="give each certificate its key, in the same order; it may be the same file",
            )
    elif origin != DEFAULT:
        # An empty certfile, as in "unix:/run/app.sock?certfile=", turns TLS off for one address.
        _use_no_tls(resolved, origin)
    elif keyfiles:
        raise ConfigurationError(
            f"keyfile without certfile (from {origin_of_keys}).", hint="give certfile too: it makes TLS"
        )


def _use_no_tls(resolved: Resolved, why: str) -> None:
    resolved.update({name: (SERVER_OPTIONS[name].default, why) for name in _TLS_OPTIONS})


def _anchored(address: Address, folder: Path | None) -> Address:
    if folder is not None and isinstance(address, UnixAddress):
        return UnixAddress(str(folder / address.path))
    return address
