"""A system call fails in a service under load that restarts: what may come of it is little.

Nothing that a client notices, connections lost that the log tells of, or one process that ended, told as well. Then the
service serves, restarts and stops as ever, with every permit. `pytest tests/chaos/test_random_faults.py --seed NUMBER`
plays one scene again; `--soak` plays 200.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import pytest
from blame import Death, History
from callers import Callers
from chaos_server import ChaosServer
from conversation import Conversation
from failing_calls import FailingCalls
from fault_scenes import scene_of
from fault_verdict import Evidence, complaints, outcome, records
from server_harness import wait_until

SHORT = (37, 118, 161, 315, 360, 656, 1683, 3987)
LONG = range(200)
CLIENTS, RECONNECTING, RESTING, LARGE = 6, 3, 12, 2
PATIENCE_SECONDS = 20.0
SERVING_SECONDS = 0.3
LIMIT = 200
OUTCOME = "generation 2 serves, pids|generation 2 was given up|the supervisor stays the same"


def pytest_generate_tests(metafunc):
    if "seed" in metafunc.fixturenames:
        number = metafunc.config.getoption("--seed")
        seeds = [number] if number is not None else LONG if metafunc.config.getoption("--soak") else SHORT
        metafunc.parametrize("seed", seeds)


class Play:
    """One scene from its beginning to its end."""

    def __init__(self, scene, library, folder):
        self.scene = scene
        self.calls = FailingCalls(library, folder)
        (folder / "service").mkdir()
        self.killed = []
        self.server = ChaosServer(
            folder / "service",
            loop=scene.loop,
            limit=LIMIT,
            environment=self.calls.environment,
            options=(
                *("--ready-timeout", "30s", "--drain-timeout", "30s", "--shed-idle-after", "0"),
                *("--header-timeout", "2m", "--keep-alive-timeout", "2m"),
                "--preload" if scene.preload else "--no-preload",
            ),
        )

    def run(self):
        """Returns what came of it, as a word."""
        server = self.server
        self.pids = server.wait_until_serving()
        self.generation = 1
        how = {"goes_on": True, "patience_seconds": PATIENCE_SECONDS}
        busy = Callers(server.port, CLIENTS, reconnecting=RECONNECTING, pause_seconds=0.005, **how)
        resting = Callers(server.port, RESTING, **how)
        large = Callers(server.port, LARGE, size=200_000, pause_seconds=0.02, **how)
        self.everyone = (busy, resting, large)
        try:
            with busy, resting, large:
                busy.wait_for_answers(2 * CLIENTS)
                resting.wait_for_answers(2 * RESTING)
                self.descriptors = server.descriptors() - len(server.workers())
                with resting.resting():
                    before = len(server.lines)
                    self.restart_with_the_fault()
                resting.wait_for_answers(2 * RESTING)
                busy.wait_for_answers(2 * CLIENTS)
                self.calls.disarm()
            self.judge(before)
            server.wait_until_all_permits_are_free()
            self.restart_without_fault()
            server.stop_and_leave_nothing()
        except BaseException as exc:
            exc.add_note(f"{self}\n{server.log}")
            raise
        finally:
            for one in self.everyone:
                one.give_up()
        return outcome(self.evidence)

    # --- the scene ---

    def restart_with_the_fault(self):
        """Restart, and do before what the moment of the scene wants done."""
        server, moment = self.server, self.scene.moment
        if self.scene.role == "supervisor":
            if moment != "promoting":
                self.arm(server.pid)
        elif self.scene.role == "worker" and moment != "draining":
            self.arm(self.pids[0])
        match moment:
            case "serving":
                threading.Event().wait(SERVING_SECONDS)
            case "scaling":
                server.send_signal(signal.SIGTTIN)
                server.wait_for("of generation 1 (is ready|ended|was killed|failed|could)", count=len(self.pids) + 1)
            case "mending":
                self.killed.append(Death(self.pids[1], time.monotonic()))
                os.kill(self.pids[1], signal.SIGKILL)
                server.wait_for("another one starts")
            case "answering":
                asked = server.command("status")
                assert asked.returncode == 0 or asked.stderr, "the client of the control socket is told nothing"
        server.send_signal(signal.SIGUSR2 if moment == "replacing" else signal.SIGHUP)
        self.arm_later(moment)
        if "serves" in server.wait_for(OUTCOME)[0]:
            self.generation = 2
            server.wait_until_gone(1)

    def arm_later(self, moment):
        server = self.server
        try:
            match self.scene.role, moment:
                case "supervisor", "promoting":
                    server.wait_for("of generation 2 is ready")
                    self.arm(server.pid)
                case "worker", "draining":
                    server.wait_for("of generation 2 is ready")
                    self.arm(self.pids[0])
                case "newcomer", "starting":
                    self.arm(int(server.wait_for(r"of generation 2 started, pid (\d+)")[1]), until_hello=True)
                case "newcomer", "ready":
                    self.arm(int(server.wait_for(r"of generation 2 is ready .*pid (\d+)")[1]))
                case "template", _:
                    self.arm(int(server.wait_for(r"the template of generation 2 .* pid (\d+)")[1]))
        except AssertionError:
            assert "generation 2 was given up" in server.log, server.log

    def arm(self, pid, **how):
        scene = self.scene
        self.calls.arm(pid, scene.call, scene.kind, scene.number, skip=scene.skip, times=scene.times, **how)

    # --- what came of it ---

    def judge(self, before):
        server = self.server
        accounts = [one.accounts for one in self.everyone]
        numbers = {
            int(number): int(pid)
            for line in server.lines
            if (found := line.partition("worker ")[2].split(" "))[1:3] == ["of", "generation"]
            and "started, pid" in line
            for number, pid in [(found[0], line.rpartition(" ")[2])]
        }
        self.evidence = Evidence(
            lines=tuple(records("\n".join(server.lines[before:]))),
            failures=tuple(failure for one in accounts for failure in one.failures),
            refused=sum(one.refused for one in accounts),
            struck=self.calls.struck,
            client_is_gone=self.scene.client_is_gone,
            pids=numbers,
            killed=tuple(self.killed),
            told=History(server.generations(), server.draining_since()),
            clock_offset=time.time() - time.monotonic(),
        )
        found = complaints(self.evidence)
        assert not found, "; ".join(found)

    def restart_without_fault(self):
        """All is as it was: the next restart serves, and a connection goes along."""
        server = self.server
        with Conversation(server.port) as one:
            one.ask()
            if self.calls.disarmed_by_exec:
                server.wait_for("the supervisor has replaced itself")
            before = len(server.lines)
            server.send_signal(signal.SIGHUP)
            started = int(server.wait_for(r"requested by SIGHUP: starting generation (\d+)", count=self.hangups())[1])
            server.wait_until_serving(started)
            one.ask()
            with Conversation(server.port) as another:
                another.ask()
            if self.generation < started:
                server.wait_until_gone(self.generation)
        assert not any("given up" in line for line in server.lines[before:])
        wait_until(
            lambda: server.descriptors() - len(server.workers()) <= self.descriptors,
            what="as many descriptors as before",
        )

    def hangups(self):
        return 1 if self.scene.moment == "replacing" else 2

    def __str__(self):
        places = ", ".join(self.calls.places()) or "?"
        return f"{self.scene}; struck {self.calls.struck} times, in {places}"


@pytest.fixture
def play(library, tmp_path):
    with contextlib.ExitStack() as cleanup:

        def begin(scene):
            one = Play(scene, library, tmp_path)
            cleanup.callback(one.server.end)
            return one

        yield begin


def test_a_fault_costs_little_and_is_told(play, seed):
    play(scene_of(seed)).run()
