"""What a supervisor keeps for its life is told when new code asks for something else."""

from __future__ import annotations

import pytest

from gracehttp.supervisor.kept_places import ignored


def test_what_stays_the_same_is_not_told():
    for places in ({"pidfile": "/a.pid", "control": None}, {"pidfile": None, "control": False}):
        assert ignored(places, places) == []


@pytest.mark.parametrize(
    ("wanted", "kept", "told"),
    [
        ({"pidfile": "/b.pid"}, {"pidfile": "/a.pid"}, ("pidfile", "/b.pid", "/a.pid")),
        ({"pidfile": None}, {"pidfile": "/a.pid"}, ("pidfile", "none", "/a.pid")),
        ({"control": "/c"}, {"control": None}, ("control", "/c", "the abstract name")),
        ({"control": False}, {"control": "/c"}, ("control", "none", "/c")),
    ],
)
def test_what_new_code_wants_otherwise_is_told_with_what_is_kept(wanted, kept, told):
    (fact,) = ignored(wanted, kept)
    assert (fact.option, fact.wanted, fact.kept) == told
    assert "until it is stopped and started" in str(fact)


def test_a_worker_of_a_release_that_does_not_say_what_it_wants_wants_nothing():
    assert ignored({}, {"pidfile": "/a.pid", "control": None}) == []
