"""Scenes 1 to 12: what one request costs. All servers of a scene run at once and take turns under the same load."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .. import loads
from ..applications import HELLO
from ..figures import Figure, turns
from ..loads import BROWSER_HEADERS, Answered, Request
from ..peers import INTERFACES, Contender, Interface, Needs, Work
from ..server import Server
from ..session import BenchmarkFailed, Certificate, Session, certificate
from .bench import Bench

CPU, RATE = "CPU time per request", "requests per second"
WARM_UP_SECONDS = 1
PIPELINE = 16

_APPLICATIONS = "benchmarks.applications"
_HELLO_NGINX = f'location / {{ return 200 "{HELLO.decode()}"; }}'
_HELLO = Work(f"{_APPLICATIONS}:hello", f"{_APPLICATIONS}:hello_wsgi", _HELLO_NGINX, threadless=True)
_HELLO_ASGI = Work(f"{_APPLICATIONS}:hello", None, _HELLO_NGINX)
_ITEMS = [{"sku": f"A-{number:04}", "name": "wooden chair", "price": 49.5 + number} for number in range(35)]
ORDER = json.dumps({"customer": 4711, "items": _ITEMS})
ITEM = json.dumps({"name": "wooden chair", "price": 49.5, "tags": ["wood", "chair"]})


@dataclass(frozen=True)
class Target:
    """Of a load."""

    server: Server
    bench: Bench
    certificate: Certificate | None
    seconds: int


Load = Callable[[Target], Answered]


def wrk(*headers: str, body: str = "", pipelined: int = 1) -> Load:
    request = Request(headers, body, pipelined)

    def load(target: Target) -> Answered:
        settings = target.bench.settings
        return loads.wrk(
            target.server.port,
            target.bench.session.folder,
            connections=settings.connections,
            seconds=target.seconds,
            request=request,
            tls=target.certificate is not None,
            first=settings.first,
        )

    return load


def handshakes(*, resume: bool) -> Load:
    def load(target: Target) -> Answered:
        assert target.certificate is not None
        return loads.handshakes(
            target.server.port,
            target.certificate.chain,
            seconds=target.seconds,
            resume=resume,
            first=target.bench.settings.first,
        )

    return load


@dataclass(frozen=True)
class RequestScene:
    """`variants` are loads on the same servers, by what they are called in the result."""

    number: int
    title: str
    measures: str
    served: Work
    variants: tuple[tuple[str, Load], ...]
    tls: bool = False

    @property
    def needs(self) -> Needs:
        return Needs(tls=self.tls)

    def run(self, bench: Bench) -> Iterator[Figure]:
        for interface in INTERFACES:
            if who := bench.who(self.served, interface, self.needs):
                yield from _Part(self, bench, interface).run(who)


class _Part:
    """One scene for one interface."""

    def __init__(self, scene: RequestScene, bench: Bench, interface: Interface) -> None:
        self._scene = scene
        self._bench = bench
        self._interface = interface
        self._certificate: Certificate | None = None
        self._figures: dict[tuple[str, str], Figure] = {}
        for called, _ in scene.variants:
            for title, unit in ((CPU, "µs"), (RATE, "/s")):
                named = f"{title}, {called}" if called else title
                self._figures[called, title] = Figure(scene.number, interface, named, unit)

    def run(self, who: list[Contender]) -> list[Figure]:
        bench = self._bench
        with bench.session.part() as part:
            if self._scene.tls:
                self._certificate = certificate(part.folder)
            servers = self._ready(part, who)
            try:
                for called, load in self._scene.variants:
                    self._measure(servers, called, load)
            finally:
                for server in servers:
                    server.ask_to_end()
        return [figure for figure in self._figures.values() if figure.samples]

    def _ready(self, part: Session, who: list[Contender]) -> list[Server]:
        """Those that answer. All start at once: what one has to wait for, no other one is measured by."""
        bench, scene = self._bench, self._scene
        needs = dataclasses.replace(scene.needs, certificate=self._certificate, access_log=bench.settings.access_log)
        started = []
        for one in who:
            try:
                started.append(bench.start(part, scene, one, scene.served, needs))
            except BenchmarkFailed as failed:
                bench.failed(scene, one.name, failed)
        ready = []
        for server in started:
            try:
                ready.append(server.wait_until_ready())
            except BenchmarkFailed as failed:
                bench.failed(scene, server.name, failed)
        return ready

    def _measure(self, servers: list[Server], called: str, load: Load) -> None:
        """A server that fails takes no further part: its samples are those of the first rounds."""
        bench, scene = self._bench, self._scene
        alive = {server.name: server for server in servers}

        def attempt(server: Server, seconds: int, what: Callable[[Server, int, str, Load], None]) -> None:
            try:
                what(server, seconds, called, load)
            except BenchmarkFailed as failed:
                status = server.process.poll()
                bench.failed(scene, server.name, failed if status is None else f"it has ended with status {status}")
                del alive[server.name]

        for server in servers:
            attempt(server, WARM_UP_SECONDS, self._warm_up)
        for order in turns(servers, bench.settings.rounds):
            for server in order:
                if server.name in alive:
                    attempt(server, bench.settings.seconds, self._sample)

    def _warm_up(self, server: Server, seconds: int, called: str, load: Load) -> None:
        load(Target(server, self._bench, self._certificate, seconds))

    def _sample(self, server: Server, seconds: int, called: str, load: Load) -> None:
        began, before = time.monotonic(), server.cpu_seconds()
        answered = load(Target(server, self._bench, self._certificate, seconds))
        used = server.cpu_seconds() - before
        cpu, rate = self._figures[called, CPU], self._figures[called, RATE]
        cpu.samples.setdefault(server.name, []).append(used / answered.requests * 1e6)
        rate.samples.setdefault(server.name, []).append(answered.rate)
        shares = {
            "share of the core that was used": used / (time.monotonic() - began),
            "requests failed": answered.failed,
            **({"share of the sessions resumed": answered.resumed / answered.requests} if self._scene.tls else {}),
        }
        for name, value in shares.items():
            cpu.details.setdefault(name, {}).setdefault(server.name, []).append(round(value, 4))
        self._bench.say(
            f"{self._scene.number} {self._interface} {called}: {server.name} "
            f"{used / answered.requests * 1e6:.1f} µs, {answered.rate:.0f}/s"
        )


_KEPT = "wrk, one thread, keep-alive connections (64 by default)"

SCENES = (
    RequestScene(1, "small GET", f"An answer of 13 bytes. {_KEPT}.", _HELLO, (("", wrk()),)),
    RequestScene(
        2,
        "small GET with 12 header fields",
        f"As scene 1, with the header fields of a browser, cookies among them. {_KEPT}.",
        _HELLO,
        (("", wrk(*BROWSER_HEADERS)),),
    ),
    RequestScene(
        3,
        "JSON POST of 2 KB",
        f"The application parses the document and answers with a small one. {_KEPT}.",
        Work(f"{_APPLICATIONS}:post"),
        (("", wrk(body=ORDER)),),
    ),
    RequestScene(
        4,
        "response of 100 KB",
        f"One message with all of it. nginx sends a file. {_KEPT}.",
        Work(f"{_APPLICATIONS}:large", None, "location / { try_files /large =404; }"),
        (("", wrk()),),
    ),
    RequestScene(
        5,
        "streaming response",
        f"64 chunks of 1,000 bytes, each a message of its own, without a length in advance. {_KEPT}.",
        Work(f"{_APPLICATIONS}:stream"),
        (("", wrk()),),
    ),
    RequestScene(
        6,
        "new connection for each request",
        "As scene 1; the client sends `Connection: close`, and the server closes. wrk, 64 connections at a time.",
        _HELLO_ASGI,
        (("", wrk("Connection: close")),),
    ),
    RequestScene(
        7,
        "FastAPI",
        f"A POST that pydantic validates, and an answer that it validates too. {_KEPT}.",
        Work("benchmarks.fastapi_app:app"),
        (("", wrk(body=ITEM)),),
    ),
    RequestScene(
        8,
        "Django, WSGI",
        f"A view that answers with JSON, behind four of Django's middlewares. {_KEPT}.",
        Work(None, "benchmarks.django_app:app"),
        (("", wrk()),),
    ),
    RequestScene(
        9,
        "Flask, WSGI",
        f"A view that answers with JSON. {_KEPT}.",
        Work(None, "benchmarks.flask_app:app"),
        (("", wrk()),),
    ),
    RequestScene(
        10,
        "TLS, kept connections",
        f"As scene 1 over TLS, with one P-256 certificate for all; the handshakes are part of it. {_KEPT}.",
        _HELLO_ASGI,
        (("", wrk()),),
        tls=True,
    ),
    RequestScene(
        11,
        "TLS, new connection for each request",
        "Handshake, one GET, close_notify; once with a full handshake each, once offering the session of the one "
        "before. A client of our own with 8 threads, which is slower than most servers: trust the CPU time. "
        "How many sessions a server resumed is in the raw results.",
        _HELLO_ASGI,
        (("full handshake", handshakes(resume=False)), ("resumption offered", handshakes(resume=True))),
        tls=True,
    ),
    RequestScene(
        12,
        "pipelining",
        f"As scene 1, with {PIPELINE} requests on each connection at a time. {_KEPT}.",
        _HELLO_ASGI,
        (("", wrk(pipelined=PIPELINE)),),
    ),
)
