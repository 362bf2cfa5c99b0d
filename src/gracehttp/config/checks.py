"""What options must be beyond each one's own type: how they go together, and whether what they name exists.

`model` and `config.load` check how options go together. `GraceHTTP.run` and `gracehttp check` look for files and
folders, before anything is opened or started.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gracehttp.config.release_links import as_released
from gracehttp.errors import ConfigurationError
from gracehttp.hints import Named, hint
from gracehttp.net.address import UnixAddress

if TYPE_CHECKING:  # the model calls the checks
    from gracehttp.config.model import ProcessOptions, ServerOptions


def check_program(options: ProcessOptions) -> None:
    """Raise `ConfigurationError` if options of the program contradict each other, or have no effect."""
    if options.no_control and options.control:
        raise ConfigurationError(
            "control names a control socket and no_control forbids one.", hint="give only one of them"
        )
    if options.probation_max_errors is not None and not options.probation:
        raise ConfigurationError(
            "probation_max_errors has no effect without probation.", hint="give probation too, such as 10s"
        )
    if options.live_path is not None and options.live_path == options.ready_path:
        raise ConfigurationError("live_path and ready_path are the same path.", hint="give each a path of its own")
    if options.log_probes and (options.admin is not None or not (options.live_path or options.ready_path)):
        raise ConfigurationError(
            "log_probes has no effect: no port of the application answers live_path or ready_path.",
            hint="give one of the two, without admin",
        )
    if options.max_requests_jitter is not None and not options.max_requests:
        raise ConfigurationError(
            "max_requests_jitter has no effect without max_requests.", hint="give max_requests too"
        )


def check_server(options: ServerOptions) -> None:
    """Raise `ConfigurationError` if a server has TLS without a certificate, if what belongs to TLS has no effect, or if
    no peer could introduce a client."""
    if options.tls and not options.certfile:
        raise ConfigurationError(
            f"{options.bind.address} is to speak TLS, and has no certificate.",
            hint=hint("give {}, or ?certfile=PATH after the address, or write http://", Named("certfile")),
        )
    if not options.tls and options.certfile:
        raise ConfigurationError(f"{options.bind.address} is to speak plain HTTP, and has a certificate.")
    if options.ssl_ca is None and (wants := _wants_an_authority(options)):
        raise ConfigurationError(
            f"{wants} has no effect without ssl_ca.", hint=hint("give {} too: it checks the clients", Named("ssl_ca"))
        )
    if options.ssl_crl is not None and options.asks_for_certificates == "none":
        raise ConfigurationError("ssl_crl has no effect with ssl_verify none.", hint="leave one of the two away")
    if options.proxy and not options.forwarded_allow_ips:
        raise ConfigurationError(
            f"{options.bind.address} would turn every peer away: proxy takes trusted ones alone, and none is trusted.",
            hint=hint("name the proxies with {}, such as 10.0.0.0/8 or unix", Named("forwarded_allow_ips")),
        )


def _wants_an_authority(options: ServerOptions) -> str:
    """The option that has no effect without `ssl_ca`, if there is one."""
    if options.ssl_verify in ("optional", "required"):
        return f"ssl_verify {options.ssl_verify}"
    return "ssl_crl" if options.ssl_crl is not None else ""


def reject_duplicates(servers: Iterable[ServerOptions]) -> None:
    """Raise `ConfigurationError` if two of `servers` have the same address.

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


def check_unix_mode(servers: Iterable[tuple[ServerOptions, str]]) -> None:
    """Raise `ConfigurationError` if a source gives a `unix_mode` and none of its servers listens on a Unix socket.

    Each server comes with the words for the source of its `unix_mode`.
    """
    with_mode = [(server, origin) for server, origin in servers if server.unix_mode is not None]
    used = {origin for server, origin in with_mode if isinstance(server.bind.address, UnixAddress)}
    for server, origin in with_mode:
        if origin not in used:
            raise ConfigurationError(
                f"unix_mode (from {origin}) has no effect: {server.bind.address} is no Unix socket.",
                hint="a Unix socket is written unix:/PATH",
            )


def check_authorities(servers: Iterable[tuple[ServerOptions, str]]) -> None:
    """Raise `ConfigurationError` if a source gives an `ssl_ca` and none of its servers speaks TLS: clients that were to
    show a certificate would all be let in.

    Each server comes with the words for the source of its `ssl_ca`.
    """
    with_authorities = [(server, origin) for server, origin in servers if server.ssl_ca is not None]
    used = {origin for server, origin in with_authorities if server.tls}
    for server, origin in with_authorities:
        if origin not in used:
            raise ConfigurationError(
                f"ssl_ca (from {origin}) has no effect: {server.bind.address} speaks no TLS.",
                hint="give certfile too: it makes TLS",
            )


def check_working_directory(directory: str) -> None:
    """Raise `ConfigurationError` if the working directory was deleted. `directory` is empty then."""
    if not directory:
        raise ConfigurationError(
            "the working directory was deleted, and a service starts its workers in it.",
            hint="cd to a folder that exists, and start again there",
        )


def check_program_file(*, is_typed_in: bool) -> None:
    """Raise `ConfigurationError` if there is no file that workers could run."""
    if is_typed_in:
        raise ConfigurationError(
            "this script comes from standard input, so it can't be run a second time, and each worker runs it again.",
            hint="write it to a file, and run that: python script.py",
        )


def check_environment(expected: str, actual: str) -> None:
    """Raise `ConfigurationError` if the first line of a program names the interpreter of another environment.

    `expected` is the environment of which the program is a part, "" if that is `actual`, or not known.
    """
    if expected:
        raise ConfigurationError(
            f"gracehttp in the environment {expected} is run with the environment {actual}: "
            "the first line of its program names that one.",
            hint=f"an environment can't be copied or moved; make it anew: python -m venv {expected}, then pip install",
        )


def app_dir_path(path: str) -> str:
    """The absolute path of the folder that applications are imported from.

    Raises `ConfigurationError` if `path` is relative to a working directory that was deleted.
    """
    try:
        return as_released(os.path.abspath(path))
    except FileNotFoundError:
        raise ConfigurationError(
            f"the application directory {path!r} is relative to the working directory, and that was deleted.",
            hint=hint("cd to a folder that exists, or give an absolute {}", Named("app_dir")),
        ) from None


def check_app_dir(path: str) -> None:
    """Raise `ConfigurationError` if the folder that applications are imported from doesn't exist, or can't be read by
    this user: Python would take it for empty."""
    absolute = app_dir_path(path)
    try:
        is_directory = stat.S_ISDIR(os.stat(absolute).st_mode)
    except PermissionError:
        raise _app_dir_closed(absolute, "a folder above it may not be entered") from None
    except OSError:
        wrong = "does not exist"
    else:
        wrong = "" if is_directory else "is no directory"
    if wrong:
        raise ConfigurationError(
            f"the application directory {absolute} {wrong}.", hint=hint("see {}", Named("app_dir"))
        )
    if not os.access(absolute, os.R_OK | os.X_OK):
        raise _app_dir_closed(absolute, "this user may not read and enter it")


def _app_dir_closed(absolute: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"the application directory {absolute} can't be read: {why}.",
        hint=hint(
            "modules are imported by user {}; give that user access, or see {}", str(os.geteuid()), Named("app_dir")
        ),
    )


def reload_folders(options: ProcessOptions) -> tuple[str, ...]:
    """The absolute paths of the folders that `reload` watches. Raises `ConfigurationError`."""
    if find_spec("watchfiles") is None:
        raise ConfigurationError(
            "reload needs the package watchfiles, and that is not installed.",
            hint="pip install 'gracehttp[reload]'",
        )
    folders = tuple(os.path.abspath(path) for path in options.reload_dir) or (app_dir_path(options.app_dir),)
    for folder in folders:
        if not os.path.isdir(folder):
            wrong = "is no directory" if os.path.exists(folder) else "does not exist"
            raise ConfigurationError(
                f"the folder to watch, {folder}, {wrong}.", hint=hint("see {}", Named("reload_dir"))
            )
    return folders


def check_certificates(servers: Iterable[ServerOptions]) -> None:
    """Raise `ConfigurationError` if a file that TLS needs doesn't exist. Its content isn't read here."""
    for server in servers:
        files = [("certfile", path) for path in server.certfile] + [("keyfile", path) for path in server.keyfile]
        for option, path in (*files, ("ssl_ca", server.ssl_ca), ("ssl_crl", server.ssl_crl)):
            if path is not None and not os.path.exists(path):
                raise ConfigurationError(f"the {option} {path} does not exist.", hint=hint("see {}", Named(option)))
