"""Scene 14: one restart after the other under a steady load."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .. import deployed
from ..deploy_accounts import Account, first_answer
from ..deploy_clients import Asked, DeployClients
from ..figures import Figure, percentile
from ..installed import Installation
from ..peers import Contender, Needs, Work
from ..session import BenchmarkFailed
from .bench import Bench

KEEPING, NEW, INTERVAL_SECONDS = 32, 4, 0.02
STEADY_SECONDS, AFTER_SECONDS = 1.5, 1.0
NEW_CODE_SECONDS = 20.0
"""The longest from HUP until all answers are of the new code."""
WORKERS = 2

RATES = tuple(f"requests per second {when}" for when in ("before", "during", "after"))
LATES = tuple(f"99th percentile {when}" for when in ("before", "during", "after"))
RATIO = "99th percentile during, before = 1"
FIRST = "from HUP to the first new answer, without the application's import"
LOST, RECONNECTS = "requests lost, reset or refused", "reconnects"


@dataclass(frozen=True)
class RestartScene:
    number = 14
    title = "restart under load"
    measures = (
        f"{KEEPING} clients that keep their connection and {NEW} that open one for each request, each asks every "
        f"{1000 * INTERVAL_SECONDS:g} ms and retries nothing; "
        f"{WORKERS} workers, because several servers know HUP only then; all its processes on one core unless "
        "--restart-cores says otherwise. During a restart is from HUP until no older code answers any more, and at "
        "least one second. Three restarts by default."
    )
    served = Work(f"{deployed.MODULE}:app", f"{deployed.MODULE}:wsgi")
    needs = Needs(workers=WORKERS, replaces_code=True, first=True)

    def run(self, bench: Bench) -> Iterator[Figure]:
        units = dict.fromkeys(RATES, "/s") | dict.fromkeys(LATES, "ms")
        units |= {RATIO: "", FIRST: "ms", LOST: "", RECONNECTS: ""}
        figures = {title: Figure(self.number, "asgi", title, unit) for title, unit in units.items()}
        for one in bench.who(self.served, "asgi", self.needs):
            try:
                for found in self._measure(bench, one):
                    for title, value in found.items():
                        figures[title].samples.setdefault(one.name, []).append(value)
                    bench.say(f"14: {one.name} {found}")
            except BenchmarkFailed as failed:
                bench.failed(self, one.name, failed)
        yield from (figure for figure in figures.values() if figure.samples)

    def _measure(self, bench: Bench, contender: Contender) -> Iterator[dict[str, float]]:
        settings = bench.settings
        with bench.session.part() as part:
            deployed.deploy(part.folder, 1)
            server = bench.start(
                part,
                self,
                contender,
                self.served,
                self.needs,
                cores=settings.restart_cores,
                folder=part.folder,
            ).wait_until_ready()
            imported = deployed.import_seconds(
                part.folder, contender.installation or Installation.here(""), bench.session.server_core
            )
            for code in range(2, 2 + settings.restarts):
                clients = DeployClients(
                    server.port, keeping=KEEPING, new=NEW, interval_seconds=INTERVAL_SECONDS, core=part.client_core
                )
                with clients:
                    time.sleep(STEADY_SECONDS)
                    deployed.deploy(part.folder, code)
                    hung_up = server.hang_up()
                    _wait_for_code(clients, code)
                    time.sleep(AFTER_SECONDS + STEADY_SECONDS)
                    asked = clients.stop()
                yield _understood(asked, code, hung_up, imported)


def _wait_for_code(clients: DeployClients, code: int) -> None:
    """Until no older one has answered for half a second."""
    deadline = time.monotonic() + NEW_CODE_SECONDS
    while clients.codes() != {code}:
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"Older code still answered {NEW_CODE_SECONDS:g} s after HUP.")
        time.sleep(0.1)


def _understood(asked: Sequence[Asked], code: int, hung_up: float, imported: float) -> dict[str, float]:
    first = first_answer(asked, code)
    if first is None:
        raise BenchmarkFailed("The clients had no answer of the new code.")
    last_old = max(one.ended for one in asked if one.outcome == "answered" and one.code < code)
    over = max(last_old, first, hung_up + AFTER_SECONDS)
    parts = (
        [one for one in asked if hung_up - STEADY_SECONDS <= one.due and one.ended < hung_up],
        [one for one in asked if one.ended >= hung_up and one.due <= over],
        [one for one in asked if one.due > over],
    )
    spans = (STEADY_SECONDS, over - hung_up, max(one.ended for one in asked) - over)
    late = [1000 * percentile([one.seconds for one in some if one.outcome == "answered"], 0.99) for some in parts]
    answered = [sum(one.outcome == "answered" for one in some) for some in parts]
    account = Account.of(asked)
    return {
        **{title: count / span for title, count, span in zip(RATES, answered, spans, strict=True)},
        **dict(zip(LATES, late, strict=True)),
        RATIO: late[1] / late[0],
        FIRST: 1000 * (first - hung_up - imported),
        LOST: account.lost + account.reset + account.refused,
        RECONNECTS: account.reconnects,
    }
