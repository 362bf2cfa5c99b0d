"""What a supervisor keeps for its life is told when new code asks for something else."""

from __future__ import annotations

import pytest

from gracehttp.supervisor.control.fixed_options import ignored
from gracehttp.wire.messages import FixedOptions


def test_what_stays_the_same_is_not_told():
    for options in (FixedOptions("/a.pid", None), FixedOptions(None, False)):
        assert ignored(options, options) == []


@pytest.mark.parametrize(
    ("wanted", "kept", "told"),
    [
        (FixedOptions(pidfile="/b.pid"), FixedOptions(pidfile="/a.pid"), ("pidfile", "/b.pid", "/a.pid")),
        (FixedOptions(pidfile=None), FixedOptions(pidfile="/a.pid"), ("pidfile", "none", "/a.pid")),
        (FixedOptions(control="/c"), FixedOptions(control=None), ("control", "/c", "the abstract name")),
        (FixedOptions(control=False), FixedOptions(control="/c"), ("control", "none", "/c")),
    ],
)
def test_what_new_code_wants_otherwise_is_told_with_what_is_kept(wanted, kept, told):
    (fact,) = ignored(wanted, kept)
    assert (fact.option, fact.wanted, fact.kept) == told
    assert "until it is stopped and started" in str(fact)
