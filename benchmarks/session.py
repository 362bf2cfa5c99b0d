"""The frame of a benchmark: cores, a limit of time, and an end for all that it starts.

All that a benchmark starts is started within `session()`, which ends it, whatever happens: on an error, on Ctrl-C, on
SIGTERM, when the time is over; and should the benchmark itself be killed, the kernel tells its servers
(PR_SET_PDEATHSIG in prctl(2)). Linux only.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
PORTS = range(20_000, 32_000)
"""Below those that the kernel gives to clients (ip_local_port_range in ip(7)), of which tens of thousands are used."""


_PREFIX = "benchmark-"


class BenchmarkFailed(Exception):
    """Nothing was measured; the message says why."""


class TimeIsOver(Exception):
    """The benchmark took longer than it was given. It isn't the fault of the server that is measured just then."""


def told(main: Callable[[], int | None]) -> int | str | None:
    """Run the main function of a benchmark; an error of ours is told without its traceback."""
    try:
        return main()
    except (BenchmarkFailed, TimeIsOver) as failed:
        return str(failed)
    except KeyboardInterrupt:
        return "Interrupted; all that was started has been stopped."


@dataclass(frozen=True)
class Session:
    """What the parts of a benchmark share. `ends` calls back at the end, the last one first."""

    folder: Path
    ends: contextlib.ExitStack
    server_core: int
    client_core: int

    @contextlib.contextmanager
    def part(self) -> Iterator[Session]:
        """A session for a part of the benchmark, at whose end its servers and clients are stopped."""
        with (
            tempfile.TemporaryDirectory(prefix="part-", dir=self.folder) as folder,
            contextlib.ExitStack() as ends,
        ):
            yield Session(Path(folder), ends, self.server_core, self.client_core)

    @property
    def bytecode(self) -> Path:
        """Where the servers keep compiled modules; one folder for all parts."""
        whole = self.folder if self.folder.name.startswith(_PREFIX) else self.folder.parent
        return whole / "bytecode"


@contextlib.contextmanager
def session(*, server_core: int, client_core: int, limit_seconds: float) -> Iterator[Session]:
    """Yields a Session. The benchmark itself, and so what it starts, stands on the client's core from here on."""
    available = os.sched_getaffinity(0)
    if not {server_core, client_core} <= available:
        raise BenchmarkFailed(f"There are the cores {sorted(available)}; choose of these for server and clients.")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def stop(number: int, _: FrameType | None) -> None:
        if number == signal.SIGALRM:
            raise TimeIsOver(f"It took longer than {limit_seconds:g} s.")
        raise SystemExit(128 + number)

    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    signal.setitimer(signal.ITIMER_REAL, limit_seconds)
    os.sched_setaffinity(0, {client_core})
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder, contextlib.ExitStack() as ends:
        try:
            yield Session(Path(folder), ends, server_core, client_core)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def free_port() -> int:
    """One on which nothing listens."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as attempt, contextlib.suppress(OSError):
            attempt.bind(("127.0.0.1", port))
            return port
    raise BenchmarkFailed("100 ports were tried, and none of them was free.")


def orphan_ends(*command: object) -> list[str]:
    """The command, made to end when this process does."""
    return ["setpriv", "--pdeathsig", "TERM", *map(str, command)]


def session_goes_first(pid: int) -> None:
    """Let the session of a process go before others of the machine, if that is allowed.

    Where sessions are scheduled as groups, a niceness counts within its session only, and each session has one of its
    own (sched(7), the autogroup feature). Where they aren't, it is that of the process and what it starts.
    """
    with contextlib.suppress(OSError):
        if Path("/proc/sys/kernel/sched_autogroup_enabled").read_text().strip() == "1":
            Path(f"/proc/{pid}/autogroup").write_text("-20")
            return
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, -20)


@dataclass(frozen=True)
class Certificate:
    """A P-256 certificate for localhost. `trust` is a client's context that trusts it."""

    chain: Path
    key: Path
    trust: ssl.SSLContext


def certificate(folder: Path) -> Certificate:
    """The key is in PKCS#8, which is the one form that all servers read."""
    import trustme
    from cryptography.hazmat.primitives import serialization

    chain, key = folder / "chain.pem", folder / "key.pem"
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    private = serialization.load_pem_private_key(issued.private_key_pem.bytes(), password=None)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    return Certificate(chain, key, trust)
