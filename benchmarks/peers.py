"""The servers that are compared, and the commands that start them.

Each command is the one that the server's own documentation shows, with everything at its default but for what stands
here: one worker, no access log (gracehttp writes none by default), and the event loop uvloop where a server leaves the
choice. `python -m NAME` runs the same function as the script NAME does. What a scene needs beyond that (TLS, idle
connections that stay, large bodies) has an entry of its own, so that it is added in that scene only.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from . import nginx
from .installed import Installation
from .server import Server
from .session import ROOT, BenchmarkFailed, Certificate, Session

Interface = Literal["asgi", "wsgi", "wsgi0"]
INTERFACES: tuple[Interface, ...] = ("asgi", "wsgi", "wsgi0")
CALLED: Mapping[str, str] = {"asgi": "ASGI", "wsgi": "WSGI", "wsgi0": "WSGI without threads"}
OURS = "gracehttp"
THREADS = 4
"""Of those WSGI servers that run applications in threads; freastal and peregrine, by default, don't."""


@dataclass(frozen=True)
class Peer:
    """A server for one interface.

    In commands `{app}` is the import string of the application, `{port}` the port, `{chain}` and `{key}` the files of
    a certificate, `{workers}` a number. An entry that is None says that the server has no such thing.
    """

    name: str
    interface: Interface
    command: str
    module: str
    distribution: str
    tls: str | None
    workers: str | None
    patient: str | None = ""
    """So that 15,000 idle connections may stay for ten minutes."""
    large: str = ""
    """So that a request may have a body of 1 GB."""
    logging: tuple[str | None, str] = (None, "")
    """What makes it write an access log, and what makes it not."""
    replaces_code: bool = False
    """Whether HUP replaces the code of an application, with more than one worker."""
    remark: str = ""


_SWITCH = ("--access-log", "--no-access-log")
_TO_STDOUT = ("--access-logfile -", "")
_UVICORN_TLS = "--ssl-certfile {chain} --ssl-keyfile {key}"
_CERTFILE = "--certfile {chain} --keyfile {key}"
_GRANIAN_TLS = "--ssl-certificate {chain} --ssl-keyfile {key}"
_FREASTAL_REMARK = "it has no command line: benchmarks/freastal_server.py calls its function as its documentation does"

_WITH_THREADS: Sequence[Peer] = (
    Peer(
        OURS,
        "asgi",
        "gracehttp serve {app} --bind 127.0.0.1:{port}",
        module="gracehttp",
        distribution="gracehttp",
        tls=_CERTFILE,
        workers="--workers {workers}",
        patient="--keep-alive-timeout 10m",
        logging=_SWITCH,
        replaces_code=True,
    ),
    Peer(
        OURS,
        "wsgi",
        f"gracehttp serve {{app}} --bind 127.0.0.1:{{port}} --threads {THREADS}",
        module="gracehttp",
        distribution="gracehttp",
        tls=_CERTFILE,
        workers="--workers {workers}",
        logging=_SWITCH,
        replaces_code=True,
    ),
    Peer(
        "uvicorn",
        "asgi",
        "uvicorn {app} --port {port}",
        module="uvicorn",
        distribution="uvicorn",
        tls=_UVICORN_TLS,
        workers="--workers {workers}",
        patient="--timeout-keep-alive 600",
        logging=_SWITCH,
        replaces_code=True,
        remark="with its extra `standard`: uvloop and httptools",
    ),
    Peer(
        "gunicorn",
        "asgi",
        "gunicorn {app} --bind 127.0.0.1:{port} --worker-class asgi",
        module="gunicorn",
        distribution="gunicorn",
        tls=_CERTFILE,
        workers="--workers {workers}",
        patient="--keep-alive 600 --worker-connections 20000",
        logging=_TO_STDOUT,
        replaces_code=True,
    ),
    Peer(
        "gunicorn",
        "wsgi",
        f"gunicorn {{app}} --bind 127.0.0.1:{{port}} --worker-class gthread --threads {THREADS}",
        module="gunicorn",
        distribution="gunicorn",
        tls=_CERTFILE,
        workers="--workers {workers}",
        logging=_TO_STDOUT,
        replaces_code=True,
    ),
    Peer(
        "granian",
        "asgi",
        "granian {app} --port {port} --interface asgi",
        module="granian",
        distribution="granian",
        tls=_GRANIAN_TLS,
        workers="--workers {workers}",
        patient="--backpressure 20000 --http1-header-read-timeout 60000",
        logging=_SWITCH,
        replaces_code=True,
    ),
    Peer(
        "granian",
        "wsgi",
        f"granian {{app}} --port {{port}} --interface wsgi --blocking-threads {THREADS}",
        module="granian",
        distribution="granian",
        tls=_GRANIAN_TLS,
        workers="--workers {workers}",
        logging=_SWITCH,
        replaces_code=True,
    ),
    Peer(
        "hypercorn",
        "asgi",
        "hypercorn {app} --bind 127.0.0.1:{port} --worker-class uvloop",
        module="hypercorn",
        distribution="hypercorn",
        tls=_CERTFILE,
        workers="--workers {workers}",
        patient="--keep-alive 600",
        logging=_TO_STDOUT,
        replaces_code=True,
        remark="its default is asyncio; uvloop, which its documentation offers, is faster",
    ),
    Peer(
        "h2corn",
        "asgi",
        "h2corn {app} --port {port}",
        module="h2corn",
        distribution="h2corn",
        tls=_CERTFILE,
        workers="--workers {workers}",
        patient="--timeout-keep-alive 600 --timeout-request-header 600",
        logging=_SWITCH,
        replaces_code=True,
        remark="made for HTTP/2; all scenes speak HTTP/1.1",
    ),
    Peer(
        "peregrine",
        "asgi",
        "peregrine {app} --port {port}",
        module="peregrine",
        distribution="peregrine-server",
        tls="--tls-cert {chain} --tls-key {key}",
        workers="--workers {workers}",
        patient="--keep-alive 600000 --max-connections 20000",
        large="--max-body 2000000000",
        logging=("--access-log", ""),
        replaces_code=True,
    ),
    Peer(
        "peregrine",
        "wsgi",
        "peregrine {app} --port {port}",
        module="peregrine",
        distribution="peregrine-server",
        tls="--tls-cert {chain} --tls-key {key}",
        workers="--workers {workers}",
        patient="--keep-alive 600000 --max-connections 20000",
        large="--max-body 2000000000",
        logging=("--access-log", ""),
        replaces_code=True,
    ),
    Peer(
        "freastal",
        "asgi",
        "benchmarks.freastal_server {app} --port {port} --interface asgi",
        module="freastal",
        distribution="freastal",
        tls=_CERTFILE,
        workers="--workers {workers}",
        remark=_FREASTAL_REMARK,
    ),
    Peer(
        "freastal",
        "wsgi",
        "benchmarks.freastal_server {app} --port {port} --interface wsgi",
        module="freastal",
        distribution="freastal",
        tls=_CERTFILE,
        workers="--workers {workers}",
        remark=f"without threads: an application that waits, stops all others; {_FREASTAL_REMARK}",
    ),
)
_WITHOUT_THREADS = (
    replace(_WITH_THREADS[1], command="gracehttp serve {app} --bind 127.0.0.1:{port} --threads 0"),
    *(peer for peer in _WITH_THREADS if peer.interface == "wsgi" and peer.name in ("peregrine", "freastal")),
)
PEERS = (*_WITH_THREADS, *(replace(peer, interface="wsgi0") for peer in _WITHOUT_THREADS))
NGINX = "nginx"
NAMES = [*dict.fromkeys(peer.name for peer in PEERS), NGINX]


@dataclass(frozen=True)
class Work:
    """What a scene lets the servers serve. `nginx` is the content of its server block, if it takes part.

    `threadless`: the WSGI application never waits, so that servers are compared without threads, too.
    """

    asgi: str | None = None
    wsgi: str | None = None
    nginx: str | None = None
    threadless: bool = False

    def application(self, interface: Interface) -> str | None:
        if interface == "asgi":
            return self.asgi
        return self.wsgi if interface == "wsgi" or self.threadless else None


@dataclass(frozen=True)
class Needs:
    """What a scene needs beyond the command that the documentation shows."""

    workers: int = 1
    tls: bool = False
    certificate: Certificate | None = None
    """With `tls`, that of the server."""
    patient: bool = False
    large: bool = False
    access_log: bool = False
    replaces_code: bool = False
    """Of the server: HUP brings new code."""
    first: bool = False
    """Its figures are in seconds: the server goes before other programs, if that is allowed."""
    more: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for the application."""


@dataclass(frozen=True)
class Contender:
    """An installation of a peer, or nginx. `name` is that of the installation: gracehttp may be there several times."""

    name: str
    peer: Peer | None
    installation: Installation | None

    def takes_part(self, work: Work, interface: Interface, needs: Needs) -> bool:
        if self.peer is None:
            return work.nginx is not None and interface == "asgi"
        if needs.replaces_code and not self.peer.replaces_code:
            return False
        return self.peer.interface == interface and work.application(interface) is not None

    @property
    def is_ours(self) -> bool:
        return self.peer is not None and self.peer.name == OURS

    @property
    def remark(self) -> str:
        return self.peer.remark if self.peer else "a static answer, without a language: the limit"

    def command(self, app: str, needs: Needs) -> str:
        """As a user would write it."""
        if self.peer is None:
            return nginx.COMMAND
        said = [self.peer.command.replace("{app}", app)]
        if needs.workers != 1:
            said.append(self._of("several workers", self.peer.workers).replace("{workers}", str(needs.workers)))
        if needs.tls:
            said.append(self._of("TLS", self.peer.tls))
        if needs.patient:
            said.append(self._of("patience", self.peer.patient))
        if needs.large:
            said.append(self.peer.large)
        on, off = self.peer.logging
        said.append(self._of("an access log", on) if needs.access_log else off)
        return " ".join(filter(None, said))

    def _of(self, what: str, arguments: str | None) -> str:
        if arguments is None:
            raise BenchmarkFailed(f"{self.name} has no option for {what}.")
        return arguments

    def start(
        self,
        session: Session,
        work: Work,
        needs: Needs,
        *,
        cores: Sequence[int] | None = None,
        first: bool = False,
        folder: Path = ROOT,
    ) -> Server:
        """Start it in this session, which stops it; `folder` is where it runs."""
        trust = needs.certificate.trust if needs.certificate else None
        if self.peer is None or self.installation is None:
            server = nginx.start(session, work.nginx or "", needs, cores=cores, trust=trust, first=first)
            return session.ends.enter_context(server)
        app = work.application(self.peer.interface) or ""
        command = self.command(app, needs)
        if needs.certificate is not None:
            files = needs.certificate
            command = command.replace("{chain}", str(files.chain)).replace("{key}", str(files.key))
        module, *arguments = command.split()
        environment = self.installation.environment(session.bytecode) | dict(needs.more)
        words = [str(self.installation.python), "-m", module, *arguments]
        return session.ends.enter_context(
            Server(
                session,
                self.name,
                words,
                environment=environment,
                cores=cores,
                trust=trust,
                first=first,
                folder=folder,
            )
        )


def contenders(ours: Sequence[Installation], names: Sequence[str]) -> tuple[list[Contender], list[str]]:
    """Those that are installed, ours first, and the names of those that aren't."""
    here = [peer for peer in PEERS if peer.name == OURS or peer.name in names]
    found, missing = [], []
    for peer in here:
        if peer.name == OURS:
            found += [Contender(one.name, peer, one) for one in ours]
        elif importlib.util.find_spec(peer.module) is not None:
            found.append(Contender(peer.name, peer, Installation.here(peer.name)))
        else:
            missing.append(peer.name)
    if NGINX in names:
        if shutil.which(NGINX, path=nginx.PATH) is not None:
            found.append(Contender(NGINX, None, None))
        else:
            missing.append(NGINX)
    return found, list(dict.fromkeys(missing))
