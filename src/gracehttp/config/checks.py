"""Options that contradict each other, or that have no effect without another one. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gracehttp.address import UnixAddress
from gracehttp.errors import ConfigurationError

if TYPE_CHECKING:  # the options are checked by what is here when they are made
    from gracehttp.config.model import ProcessOptions, ServerOptions


def check_program(options: ProcessOptions) -> None:
    """Raise `ConfigurationError` for options of the program that don't go together."""
    if options.no_control and options.control:
        raise ConfigurationError(
            "control names a control socket and no_control forbids one.", hint="give only one of them"
        )
    if options.probation_max_errors is not None and not options.probation:
        raise ConfigurationError(
            "probation_max_errors has no effect without probation.", hint="give probation too, such as 10s"
        )
    if options.max_requests_jitter is not None and not options.max_requests:
        raise ConfigurationError(
            "max_requests_jitter has no effect without max_requests.", hint="give max_requests too"
        )


def check_unix_mode(servers: Iterable[tuple[ServerOptions, str]]) -> None:
    """Raise `ConfigurationError` if a place gives a `unix_mode`, and no server that takes it from there listens on a
    Unix socket. Each server comes with the words for where its `unix_mode` is from."""
    with_mode = [(server, origin) for server, origin in servers if server.unix_mode is not None]
    used = {origin for server, origin in with_mode if isinstance(server.bind.address, UnixAddress)}
    for server, origin in with_mode:
        if origin not in used:
            raise ConfigurationError(
                f"unix_mode (from {origin}) has no effect: {server.bind.address} is no Unix socket.",
                hint="a Unix socket is written unix:/PATH",
            )
