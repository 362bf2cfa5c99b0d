"""The service that an example is for: its options, its command line, and how long it may take to stop."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from pathlib import PurePath

from gracehttp.config import OPTIONS, Configuration, ServerOptions
from gracehttp.net.address import DescriptorAddress, TcpAddress, UnixAddress, parse_address, parse_bind
from gracehttp.values import Value

LIFESPAN_SECONDS = 10
"""How long the supervisor gives the lifespan shutdown of the application after the drain."""
MARGIN_SECONDS = 5
"""Time for a busy machine, and for what ends after the last worker."""


class Service(Value):
    """`given` are the options of the command line and of environment variables, as they were written, without APP.
    `program` is the path of the command gracehttp, `directory` where it is started, `user` starts it."""

    configuration: Configuration
    app: str | None
    config_file: str | None
    given: Mapping[str, object]
    program: str
    directory: str
    user: str

    @property
    def name(self) -> str:
        """A short name for units and containers: that of the folder."""
        kept = "".join(letter if letter.isalnum() else "-" for letter in PurePath(self.directory).name.lower())
        return kept.strip("-") or "app"

    @property
    def stop_seconds(self) -> int:
        """The shutdown budget: the longest that a graceful stop takes. A manager that kills must wait longer.

        stop_delay + drain_timeout + 10 s for the lifespan shutdown + 5 s to spare.
        """
        process = self.configuration.process
        return math.ceil(process.stop_delay + process.drain_timeout) + LIFESPAN_SECONDS + MARGIN_SECONDS

    @property
    def start_seconds(self) -> int:
        """The longest that a start takes: the first worker, then the others."""
        return 2 * math.ceil(self.configuration.process.ready_timeout) + MARGIN_SECONDS

    def arguments(self, **changed: object) -> list[str]:
        """Those of `gracehttp serve`, with `changed` options beside or instead of the ones that are given; None leaves
        one out."""
        words = ["serve"]
        if self.app is not None:
            words.append(self.app)
        if self.config_file is not None:
            words += ["--config", self.config_file]
        for name, value in {**self.given, **changed}.items():
            if value is not None:
                words += _words(name, value)
        return words

    def command(self, **changed: object) -> str:
        """The command line, for a shell or systemd."""
        return shlex.join([self.program, *self.arguments(**changed)])

    def reachable(self) -> dict[str, object]:
        """What to change so that other machines, or the host of a container, reach the ports: loopback addresses become
        all addresses, and Unix sockets stay."""
        texts = _texts(self.given.get("bind")) or ([] if self.config_file else ["127.0.0.1:8000"])
        changed: dict[str, object] = {"bind": tuple(map(_on_all_addresses, texts))} if texts else {}
        for name in ("admin", "agent_check"):
            if isinstance(self.given.get(name), str):
                changed[name] = _on_all_addresses(str(self.given[name]))
        return changed

    @property
    def out_of_reach(self) -> list[str]:
        """The addresses in the file of options that nothing outside of a container reaches."""
        if self.config_file is None:
            return []
        process = self.configuration.process
        texts = [str(server.bind.address) for server in self.configuration.servers if not self.given.get("bind")]
        texts += [one for one in (process.admin, process.agent_check) if one and one not in self.given.values()]
        return [text for text in texts if _on_all_addresses(text) != text]

    def port(self, server: ServerOptions) -> int | None:
        """The TCP port of a server; None if it has none, or the kernel chooses it."""
        address = server.bind.address
        return (address.port or None) if isinstance(address, TcpAddress) else None

    @property
    def ports(self) -> list[int]:
        found = [self.port(server) for server in self.configuration.servers]
        return [port for port in found if port is not None]

    @property
    def admin_port(self) -> int | None:
        return self._own_port(self.configuration.process.admin)

    @property
    def agent_port(self) -> int | None:
        return self._own_port(self.configuration.process.agent_check)

    def _own_port(self, text: str | None) -> int | None:
        address = parse_address(text) if text else None
        return address.port if isinstance(address, TcpAddress) else None


def upstream(server: ServerOptions) -> str:
    """The address at which a proxy on this machine reaches a server: `127.0.0.1:8000` or `unix:/run/app.sock`."""
    address = server.bind.address
    match address:
        case TcpAddress():
            return str(address.local)
        case UnixAddress():
            return str(address)
        case DescriptorAddress():
            return "127.0.0.1:8000"


def seconds(value: float) -> str:
    """Rounded up, for tools that know whole seconds."""
    return f"{math.ceil(value)}s"


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    return value.split() if isinstance(value, str) else [str(one) for one in value]  # type: ignore[attr-defined]  # a tuple of click


def _words(name: str, value: object) -> list[str]:
    option = OPTIONS[name]
    if option.kind.is_flag:
        on = option.kind.parse(value)
        return [option.flag] if on else [f"--no-{option.flag.removeprefix('--')}"] if option.kind.negatable else []
    values = _texts(value) if option.kind.repeatable and not isinstance(value, str) else [str(value)]
    return [word for one in values for word in (option.flag, one)]


def _on_all_addresses(text: str) -> str:
    address = parse_bind(text).address
    if not isinstance(address, TcpAddress) or address.host not in ("127.0.0.1", "localhost", "::1"):
        return text
    bare, question, query = text.partition("?")
    scheme, separator, _ = bare.rpartition("://")
    return f"{scheme}{separator}0.0.0.0:{address.port}{question}{query}"
