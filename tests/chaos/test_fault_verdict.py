"""What a fault may cost: what the log tells of, and no more than that."""

from __future__ import annotations

import dataclasses

import pytest
from blame import Death, History
from callers import Failure
from fault_verdict import Evidence, complaints, lost_connections_told, outcome, records

DAY = "2026-01-31 12:00:0"
OFFSET = next(records(f"{DAY}0.000 INFO    [1] x")).at
"""So that the seconds of the log are those of the monotonic clock."""
DIED = f"{DAY}5.100 ERROR   [1] worker 2 of generation 1 was killed by SIGABRT; another one starts in 0.1 s"
LOST = f"{DAY}5.000 ERROR   [7] a connection was lost between two generations: descriptors were lost on the way"


def failure(what="closed without notice at request 3, which was answered", pids=(12,)):
    return Failure(what, False, at=5.0, last_answer_at=4.9, pids=list(pids))


def evidence(*log, failures=(), **changes):
    found = Evidence(
        lines=tuple(records("\n".join(log))),
        failures=tuple(failures),
        refused=0,
        struck=1,
        client_is_gone=False,
        pids={1: 11, 2: 12},
        killed=(),
        told=History({11: 1, 12: 1}, {}),
        clock_offset=OFFSET,
    )
    return dataclasses.replace(found, **changes)


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (evidence(), "nothing"),
        (evidence(LOST, failures=[failure()]), "connection"),
        (evidence(DIED, failures=[failure(), failure()]), "process"),
        (evidence(failures=[failure()], client_is_gone=True), "connection"),
        (evidence(DIED, failures=[failure()], killed=(Death(12, 4.95),)), "connection"),
    ],
)
def test_what_is_told_is_permitted(found, word):
    assert complaints(found) == []
    assert outcome(found) == word


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        (evidence(failures=[failure()]), "1 connections lost, 0 told of"),
        (evidence(LOST, failures=[failure(), failure()]), "2 connections lost, 1 told of"),
        (evidence(DIED, failures=[failure(pids=[11])]), "1 connections lost, 0 told of"),
        (evidence(DIED, DIED), "2 processes ended for 1 faults"),
        (evidence(DIED, struck=0), "1 processes ended for 0 faults"),
        (evidence(DIED, failures=[failure("no answer within 15 s to request 1")]), "a client hangs"),
        (evidence(DIED, failures=[failure("wrong answer to request 1")]), "a client got a wrong answer"),
        (evidence(refused=1), "1 connections were refused"),
        (evidence(f"{DAY}1.000 ERROR   [7] Exception in callback X._turn"), "defect: Exception in callback X._turn"),
        (evidence(f"{DAY}1.000 ERROR   [1] the supervisor failed to reap"), "defect: the supervisor failed to reap"),
        (
            evidence(f"{DAY}1.000 NOTICE  [1] worker 1 of generation 1 (pid 11) is ended by force: drain timeout"),
            "ended by a deadline: worker 1",
        ),
    ],
)
def test_what_is_not_told_or_too_much_is_a_complaint(found, complaint):
    assert any(complaint in one for one in complaints(found)), complaints(found)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("a connection was lost between two generations: x", 1),
        ("16 connections were lost between two generations: x", 16),
        ("127.0.0.1:80: closed a new connection that the system can't watch (No space left on device)", 1),
        ("draining 5 connections, for at most 20 s", 0),
    ],
)
def test_how_many_connections_a_line_tells_of(text, count):
    assert lost_connections_told(records(f"{DAY}0.000 ERROR   [7] {text}")) == count
