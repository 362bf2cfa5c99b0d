"""Random histories of a service, with real processes and a small load, against a model of what is promised.

On a failure the number is printed that plays the same history again: `pytest tests/chaos --seed NUMBER`.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest
from blame import Death, culprits
from blame import History as Told
from callers import Callers
from chaos_server import APPLICATION, BROKEN_APPLICATION, ChaosServer, LimitWatch
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from server_harness import is_alive, wait_until

CLIENTS = 6
RECONNECTING = 5
LIMIT = 8  # fewer than there are clients, so that some wait in the kernel's queue all the time
WORKERS = 2
RESTARTING = ("SIGHUP", "SIGUSR1", "SIGUSR2")
ENDINGS = ("when all clients have left", "under load")
"""Of a history that comes to rest first; others are told to stop in the middle of everything, by a rule."""
STEPS_BEFORE_A_STOP = 4
LONGEST_STOP_SECONDS = 2.0
"""A process that stands still for longer than that may outlast the drain, and what it has is cut then."""
DESCRIPTORS_OF_A_CHILD = 3
"""What the supervisor holds of each: the channel, what it writes to stderr while it starts, a PID to be born."""
SHORT = (2, 10)  # histories of each loop, steps
LONG = (100, 25)


class History(RuleBasedStateMachine):
    """One service from its start to its end. What the model knows is in the attributes below."""

    loop = "auto"

    def __init__(self):
        super().__init__()
        self.restarts = 0
        self.broken = False  # what lies on the disk
        self.stopped: dict[int, float] = {}  # by SIGSTOP, since when
        self.killed: list[Death] = []
        self.stopping = False
        self.second_stop = False
        self.known: set[int] = set()  # all processes that were seen
        self.steps = 0
        self.callers: Callers | None = None  # none before the service serves
        self.cleanup = contextlib.ExitStack()

    @initialize(ending=st.sampled_from(ENDINGS), preload=st.booleans())
    def begin(self, ending, preload):
        self.ending = ending
        self.preload = preload
        folder = self.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="chaos-"))
        self.server = ChaosServer(
            Path(folder),
            loop=self.loop,
            workers=WORKERS,
            limit=LIMIT,
            # Clients that rest while the port is full are no reason to close one of them.
            options=(
                "--shed-idle-after",
                "0",
                "--ready-timeout",
                "60s",
                "--drain-timeout",
                "5s",
                "--preload" if preload else "--no-preload",
            ),
        )
        self.cleanup.callback(self.server.end)
        self.server.wait_until_serving()
        self.descriptors = self.server.descriptors()
        self.watch = self.cleanup.enter_context(LimitWatch(self.server.port))
        callers = Callers(self.server.port, CLIENTS, reconnecting=RECONNECTING, pause_seconds=0.005, goes_on=True)
        self.cleanup.callback(callers.give_up)
        self.callers = callers.__enter__()
        self.callers.wait_for_answers(CLIENTS)

    # --- what happens ---

    @rule(name=st.sampled_from(RESTARTING))
    def restart(self, name):
        self.server.send_signal(getattr(signal, name))
        if not self.stopping:
            self.restarts += 1
            self.server.wait_for(rf"starting generation {self.restarts + 1}\b")

    @precondition(lambda self: not self.stopping)
    @rule()
    def wait_for_the_outcome(self):
        """Of the latest restart, unless a stopped process holds it up."""
        if self.restarts and not self.stopped:
            self.server.wait_for(rf"generation {self.restarts + 1} (serves|was given up)")

    @rule(milliseconds=st.integers(1, 300))
    def let_time_pass(self, milliseconds):
        """An input like any other: it decides at which moment the next one comes."""
        threading.Event().wait(milliseconds / 1000)

    @rule(name=st.sampled_from(["SIGTTIN", "SIGTTOU"]))
    def scale(self, name):
        self.server.send_signal(getattr(signal, name))

    @precondition(lambda self: not self.broken)
    @rule()
    def break_the_code(self):
        self.broken = True
        self.server.write("application.py", BROKEN_APPLICATION)

    @precondition(lambda self: self.broken)
    @rule()
    def mend_the_code(self):
        self.broken = False
        self.server.write("application.py", APPLICATION)

    @rule(which=st.integers(0, 100))
    def kill_a_worker(self, which):
        if pid := self.pick(which):
            self.killed.append(Death(pid, time.monotonic()))
            self.signal_worker(pid, signal.SIGKILL)

    @rule(which=st.integers(0, 100))
    def stop_a_worker(self, which):
        if pid := self.pick(which):
            self.stopped.setdefault(pid, time.monotonic())
            self.signal_worker(pid, signal.SIGSTOP)

    @rule()
    def continue_all(self):
        for pid in self.stopped:
            self.signal_worker(pid, signal.SIGCONT)
        self.stopped.clear()

    @precondition(lambda self: self.steps >= STEPS_BEFORE_A_STOP and not self.stopping)
    @rule(just_before=st.sampled_from([None, *RESTARTING]))
    def stop(self, just_before):
        """Whatever goes on, and perhaps in the same moment as a restart is asked for. Other things may follow."""
        self.assert_no_more_is_held_than_is_in_use()
        self.stopping = True
        if just_before:
            self.server.send_signal(getattr(signal, just_before))
        self.server.send_signal(signal.SIGTERM)

    @precondition(lambda self: self.stopping)
    @rule()
    def stop_again(self):
        """By force, unless it is taken for the same one, as when a terminal and its shell both send it."""
        self.second_stop = True
        self.server.send_signal(signal.SIGTERM)

    def pick(self, which):
        pids = sorted(self.server.workers())
        return pids[which % len(pids)] if pids else None

    def signal_worker(self, pid, number):
        if pid in self.server.workers():  # the supervisor waits for its children, so the PID may be gone
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    # --- what must hold at any time ---

    @invariant()
    def promises_hold(self):
        if self.callers is not None:
            self.steps += 1
            self.known.update(self.server.workers())
            if self.stopped and time.monotonic() - min(self.stopped.values()) > LONGEST_STOP_SECONDS:
                self.continue_all()
            assert self.watch.most <= LIMIT
            if not self.stopping:
                assert self.server.process.poll() is None, self.server.log
                assert self.callers.accounts.refused == 0

    def assert_no_more_is_held_than_is_in_use(self):
        """While clients wait in the queue, a permit that nobody gave back is a place that stays empty, and one too
        many is one connection too many."""
        children = len(self.server.workers())
        wait_until(
            lambda: self.server.descriptors() <= self.descriptors + DESCRIPTORS_OF_A_CHILD * children,
            what="few descriptors",
        )
        nobody_may_serve = self.broken and self.killed  # who was killed may not have been replaced by broken code
        if not (self.stopped or nobody_may_serve):  # newcomers and places may be with one that stands still
            with self.callers.resting():
                wait_until(lambda: self.watch.latest == LIMIT, what="a full port")

    def deaths(self):
        """All that were ended by force, by us or by the supervisor."""
        return self.killed + [Death(pid, at) for pid, at in self.server.ended_by_force()]

    def assert_every_failure_is_that_of_a_killed_worker(self):
        """The worker that had the connection was ended between the last answer on it and its end, by us or by force;
        and nothing else ends a connection without notice."""
        deaths = self.deaths()
        told = Told(self.server.generations(), self.server.draining_since())
        for failure in self.callers.accounts.failures:
            assert culprits(failure, deaths, told), f"{failure}\n{deaths}\n{told}\n{self.server.log}"
            assert "wrong answer" not in failure.what
            assert "nobody asked for" not in failure.what

    # --- the end ---

    def teardown(self):
        with self.cleanup:
            if self.callers is None:
                return
            self.continue_all()
            if not self.stopping:
                self.come_to_rest()
                self.assert_nothing_is_missing()
                if self.ending == "when all clients have left":
                    self.callers.finish()
                    assert self.callers.accounts.closed_after_notice == 0
                    self.server.wait_until_all_permits_are_free()
                self.server.send_signal(signal.SIGTERM)
            self.end()
            self.settle_the_accounts()

    def end(self):
        """The service was told to stop: it does, and then each client was told to go, and refused."""
        self.known.update(self.server.workers())
        status = self.server.wait()
        assert status == int("forced stop requested" in self.server.log), self.server.log
        assert self.second_stop or status == 0, self.server.log
        self.server.assert_nothing_is_left(self.known)
        self.callers.join()

    def come_to_rest(self):
        """Good code, and a restart: whatever went before, it serves, and all older code is gone."""
        self.broken = False
        self.server.write("application.py", APPLICATION)
        self.restart("SIGHUP")
        generation = self.restarts + 1
        pids = self.server.wait_until_serving(generation)
        template = self.server.templates().get(generation)
        assert (template is not None) == self.preload
        expected = {*pids, *([template] if self.preload else [])}
        wait_until(lambda: set(self.server.workers()) == expected, what=f"nobody but {expected}")
        assert len(pids) == WORKERS
        self.callers.wait_for_answers(2 * (CLIENTS + RECONNECTING))

    def assert_nothing_is_missing(self):
        """At rest, under load."""
        self.promises_hold()
        self.assert_no_more_is_held_than_is_in_use()
        wait_until(lambda: self.server.descriptors() <= self.descriptors, what="as many descriptors as at the start")

    def settle_the_accounts(self):
        accounts = self.callers.accounts
        assert self.watch.most <= LIMIT
        self.assert_every_failure_is_that_of_a_killed_worker()
        assert accounts.sent == accounts.answered + sum(failure.unanswered for failure in accounts.failures)
        if not accounts.failures:
            assert accounts.answered == self.server.counted()
        self.assert_no_answer_by_older_code()
        if not self.deaths():
            assert "lost between two generations" not in self.server.log
        assert not any(is_alive(pid) for pid in self.server.generations())

    def assert_no_answer_by_older_code(self):
        generations = self.server.generations()
        for pids in self.callers.accounts.pids.values():
            seen = [generations[pid] for pid in pids]
            assert seen == sorted(seen), f"{pids}\n{self.server.log}"


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_no_history_breaks_a_promise(request, soak, loop):
    number = request.config.getoption("--seed")
    if number is None:
        number = random.randrange(1_000_000_000)
    histories, steps = LONG if soak else SHORT
    machine = seed(number)(type("History", (History,), {"loop": loop}))
    how = settings(
        max_examples=histories,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # real processes: the smaller history is another one
        report_multiple_bugs=False,
        verbosity=Verbosity.normal,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(machine, settings=how)
    except BaseException as exc:
        exc.add_note(f"to play this history again: --seed {number}")
        raise
