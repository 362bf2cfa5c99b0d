"""Scene 17: what clients notice of deploys: four in ten seconds, one of broken code, one that takes long to import."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .. import deployed
from ..deploy_accounts import Account, first_answer, without_answer
from ..deploy_clients import Asked, DeployClients
from ..figures import Figure
from ..peers import INTERFACES, Contender, Needs, Work
from ..server import Server
from ..session import BenchmarkFailed, Session
from .bench import Bench

KEEPING, NEW, INTERVAL_SECONDS = 32, 8, 0.02
DEPLOYS, BETWEEN_SECONDS = 4, 2.5
AROUND_SECONDS = 1.5
BROKEN_SECONDS = 5.0
IMPORT_SECONDS = 10.0
SETTLE_SECONDS = 8.0
"""After the last deploy, for the newest code to be the only one."""
WORKERS = 2
SILENT, SILENT_SECONDS = 20, 4.0

SILENT_TITLE = f"silent: answered of {SILENT}"

Deploy = Callable[[int, str], None]
"""Puts a version in place and sends HUP."""


@dataclass(frozen=True)
class Situation:
    """`script` deploys, waits between and after; what it returns is the version that should be answering at the end."""

    name: str
    script: Callable[[Deploy], int]


def four_deploys(deploy: Deploy) -> int:
    for code in range(2, 2 + DEPLOYS):
        deploy(code, "")
        time.sleep(BETWEEN_SECONDS)
    time.sleep(SETTLE_SECONDS - BETWEEN_SECONDS)
    return 1 + DEPLOYS


def broken_deploy(deploy: Deploy) -> int:
    """And then one that mends it."""
    deploy(2, deployed.BROKEN)
    time.sleep(BROKEN_SECONDS)
    deploy(3, "")
    time.sleep(SETTLE_SECONDS)
    return 3


def slow_import(deploy: Deploy) -> int:
    deploy(2, f"import time; time.sleep({IMPORT_SECONDS:g})")
    time.sleep(IMPORT_SECONDS * WORKERS + SETTLE_SECONDS)  # one worker after the other, as several servers do
    return 2


SITUATIONS = (
    Situation("four deploys in ten seconds", four_deploys),
    Situation("a deploy of broken code", broken_deploy),
    Situation("an import of 10 s", slow_import),
)


@dataclass(frozen=True)
class DeployScene:
    number = 17
    title = "deploys"
    measures = (
        f"{KEEPING} clients that keep their connection and {NEW} that open one for each request, each asks every "
        f"{1000 * INTERVAL_SECONDS:g} ms and retries nothing; {WORKERS} workers on both cores. A deploy is new code on "
        "the disk and a HUP to the first process, as each of these servers documents. Four in ten seconds; one of code "
        "that raises when it is imported, and a good one 5 s later; one whose import sleeps 10 s. Lost: a request was "
        "sent and no whole answer came. Mixed: requests sent after the first answer of newer code that older code "
        f"answered. Silent: {SILENT} clients connect just before the deploy, send their request "
        f"{SILENT_SECONDS:g} s after it, and nothing else is asked."
    )
    served = Work(f"{deployed.MODULE}:app", f"{deployed.MODULE}:wsgi")
    needs = Needs(workers=WORKERS, replaces_code=True, first=True)

    def run(self, bench: Bench) -> Iterator[Figure]:
        for interface in INTERFACES:
            figures: dict[str, Figure] = {}
            for one in bench.who(self.served, interface, self.needs):
                for situation in SITUATIONS:
                    try:
                        found = self._measure(bench, one, situation)
                    except BenchmarkFailed as failed:
                        bench.failed(self, one.name, f"{situation.name}: {failed}")
                        continue
                    for (title, unit), value in found.items():
                        named = f"{situation.name}: {title}"
                        figure = figures.setdefault(named, Figure(self.number, interface, named, unit))
                        figure.samples.setdefault(one.name, []).append(value)
                    bench.say(f"17: {one.name} {situation.name} {found}")
                try:
                    answered = float(self._answered_of_silent(bench, one))
                except BenchmarkFailed as failed:
                    bench.failed(self, one.name, f"silent clients: {failed}")
                    continue
                silent = Figure(self.number, interface, SILENT_TITLE, "")
                figures.setdefault(SILENT_TITLE, silent).samples.setdefault(one.name, []).append(answered)
                bench.say(f"17: {one.name} {SILENT_TITLE} {answered:g}")
            yield from figures.values()

    def _answered_of_silent(self, bench: Bench, contender: Contender) -> int:
        """How many clients that had connected before a deploy, and had sent nothing, get an answer after it."""
        with bench.session.part() as part:
            deployed.deploy(part.folder, 1)
            server = self._start(bench, part, contender)
            address = ("127.0.0.1", server.port)
            clients = [part.ends.enter_context(socket.create_connection(address, timeout=5)) for _ in range(SILENT)]
            # For the server to accept them. Several end a connection that has sent nothing for longer than some five
            # seconds, whether or not they restart.
            time.sleep(0.3)
            _deployer(part, server)(2, "")
            time.sleep(SILENT_SECONDS)
            return sum(map(_is_answered, clients))

    def _start(self, bench: Bench, part: Session, contender: Contender) -> Server:
        return bench.start(
            part,
            self,
            contender,
            self.served,
            self.needs,
            cores=sorted({part.server_core, part.client_core}),
            folder=part.folder,
        ).wait_until_ready()

    def _measure(self, bench: Bench, contender: Contender, situation: Situation) -> dict[tuple[str, str], float]:
        with bench.session.part() as part:
            deployed.deploy(part.folder, 1)
            server = self._start(bench, part, contender)
            clients = DeployClients(
                server.port, keeping=KEEPING, new=NEW, interval_seconds=INTERVAL_SECONDS, core=part.client_core
            )
            with clients:
                time.sleep(AROUND_SECONDS)
                expected = situation.script(_deployer(part, server))
                asked = clients.stop()
            return _understood(asked, expected)


def _is_answered(client: socket.socket) -> bool:
    try:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return client.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _deployer(part: Session, server: Server) -> Deploy:
    def deploy(code: int, first: str) -> None:
        deployed.deploy(part.folder, code, first=first)
        try:
            server.hang_up()
        except ProcessLookupError:
            return  # it has ended; what clients meet tells so

    return deploy


def _broken(asked: list[Asked]) -> float:
    account = Account.of(asked)
    return account.lost + account.reset


def _understood(asked: list[Asked], expected: int) -> dict[tuple[str, str], float]:
    account = Account.of(asked)
    return {
        ("requests", ""): account.requests,
        ("lost", ""): account.lost,
        ("lost or reset on kept connections", ""): _broken([one for one in asked if one.keeps]),
        ("lost or reset on new connections", ""): _broken([one for one in asked if not one.keeps]),
        ("reset", ""): account.reset,
        ("refused", ""): account.refused,
        ("answered with an error", ""): account.errors,
        ("reconnects", ""): account.reconnects,
        ("worst answer", "ms"): account.worst_ms,
        ("longest without any answer", "s"): without_answer(asked),
        ("old and new mixed", "s"): account.mixed_seconds,
        ("answers of old code meanwhile", ""): account.mixed_answers,
        ("newest code answered in the end, 1 = yes", ""): float(first_answer(asked, expected) is not None),
    }
