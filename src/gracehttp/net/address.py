"""Where a server listens: the forms of --bind that a user may write, and the classes that the program uses.

Pure: nothing is resolved or bound here.
"""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qsl

from gracehttp.errors import ConfigurationError
from gracehttp.net.unix_files import MOST_PATH_BYTES
from gracehttp.values import Value

_SYSTEMD_NAME = re.compile(r"systemd:(?!\d+$)[!-9;-~]+")  # a name has no colon (sd_listen_fds(3))
_FORMS = (
    "HOST:PORT, :PORT or *:PORT (all addresses), [::1]:PORT, http://HOST:PORT, https://HOST:PORT, unix:/PATH, fd://N "
    "or systemd:NAME"
)


class TcpAddress(Value):
    """`host` is a name or a literal address; empty means all addresses of this machine. Port 0: the kernel chooses."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def local(self) -> TcpAddress:
        """The address at which a client on this machine reaches the server: loopback, if it listens on all."""
        loopback = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  to connect to, not to bind
        return TcpAddress(loopback.get(self.host, self.host), self.port)


class UnixAddress(Value):
    """A Unix socket in the file system (unix(7))."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


class DescriptorAddress(Value):
    """A listening socket that was opened by the program that started the supervisor: the descriptor `fd`, or the one
    that a service manager has given this `name` (see `net.activation`)."""

    fd: int
    name: str = ""

    def __str__(self) -> str:
        return f"systemd:{self.name}" if self.name else f"fd://{self.fd}"


Address = TcpAddress | UnixAddress | DescriptorAddress


class Bind(Value):
    """One `--bind`: an address, whether it began with `https://`, and the settings of this address from its query."""

    address: Address
    tls: bool
    settings: tuple[tuple[str, str], ...] = ()


def parse_bind(text: str) -> Bind:
    """Read one of the forms of `--bind`, with per-bind settings as a query (`https://:9443?certfile=a.pem`).

    Raises `ConfigurationError` that quotes what was written and lists the forms.
    """
    bare, _, query = text.partition("?")
    settings = tuple(parse_qsl(query, keep_blank_values=True))
    scheme, separator, rest = bare.partition("://")
    if not separator:
        if bare.startswith("unix:"):
            return Bind(_unix(bare.removeprefix("unix:"), text), False, settings)
        if _SYSTEMD_NAME.fullmatch(bare):
            return Bind(DescriptorAddress(-1, bare.removeprefix("systemd:")), False, settings)
        return Bind(_tcp(bare, text), False, settings)
    match scheme.lower():
        case "http":
            return Bind(_tcp(rest.rstrip("/"), text, default_port=80), False, settings)
        case "https":
            return Bind(_tcp(rest.rstrip("/"), text, default_port=443), True, settings)
        case "unix":
            return Bind(_unix(rest, text), False, settings)
        case "fd" if rest.isdecimal():
            return Bind(DescriptorAddress(int(rest)), False, settings)
    raise _unreadable(text)


def parse_address(text: str) -> Address:
    """Read what `str(address)` wrote."""
    return parse_bind(text).address


def _tcp(text: str, whole: str, default_port: int | None = None) -> TcpAddress:
    if port_of := _not_a_port(text):
        raise ConfigurationError(
            f"{whole!r} is no address to listen on: its port, {port_of}, is no number.",
            hint=f"write {text.rpartition(':')[0]}:8000",
        )
    match = re.fullmatch(r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:/\[\]]*))(?::(?P<port>\d+))?", text)
    if match is None:
        raise _unreadable(whole)
    port = int(match["port"]) if match["port"] else default_port
    if port is None and text.isdecimal():
        # It could mean :PORT or 127.0.0.1:PORT, and a wrong guess would open a private service to the network.
        raise ConfigurationError(
            f"{whole!r} is a port without a host.",
            hint=f"write :{text} to listen on all addresses of this machine, or 127.0.0.1:{text} for this machine only",
        )
    if port is None and text[:1].isdigit() and text.lstrip("0123456789").isalpha():
        raise ConfigurationError(
            f"{whole!r} is no address to listen on: a port is a number, and a host stands before a colon.",
            hint=f"write 127.0.0.1:{text.rstrip(text.lstrip('0123456789'))}",
        )
    if port is None and text:
        raise ConfigurationError(
            f"{whole!r} is no address to listen on: the port is missing.", hint=f"write {text}:8000"
        )
    if port is None:
        raise _unreadable(whole)
    if port > 65535:
        raise ConfigurationError(f"the port of {whole!r} is above 65535.", hint="ports are 0 to 65535")
    host = match["v6"] or match["host"] or ""
    return TcpAddress("" if host == "*" else host, port)


def _not_a_port(text: str) -> str:
    """What stands for the port in `text` and is no number, "" if it is one or there is none."""
    match = re.fullmatch(r"(?:\[[^\]]+\]|[^:/\[\]]*):([^:/\[\]]+)", text)
    return match[1] if match is not None and not match[1].isdecimal() else ""


def _unix(path: str, whole: str) -> UnixAddress:
    if not path:
        raise _unreadable(whole)
    if len(os.fsencode(path)) > MOST_PATH_BYTES:
        raise ConfigurationError(
            f"the socket path {path!r} is too long.", hint=f"Linux takes at most {MOST_PATH_BYTES} bytes"
        )
    return UnixAddress(path)


def _unreadable(text: str) -> ConfigurationError:
    return ConfigurationError(f"{text!r} is no address to listen on.", hint=f"write it as {_FORMS}")
