"""How limits meet what a process may open."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gracehttp.net.limits import effective_limits, reserved_descriptors


def test_limits_that_fit_stay_as_they_are():
    assert effective_limits([100, 200], 1024) == [100, 200]


def test_a_limit_above_what_a_process_may_open_leaves_a_reserve_to_the_application():
    assert effective_limits([100_000], 20_000) == [20_000 - 256]


def test_a_modest_port_keeps_its_limit_and_the_others_share_the_rest():
    assert effective_limits([10, 100_000, 100_000], 1256) == [10, 495, 495]


def test_no_limit_is_lowered_to_nothing():
    assert effective_limits([5, 5, 5], 2) == [1, 1, 1]


@given(st.lists(st.integers(1, 200_000), min_size=1, max_size=8), st.integers(64, 1_000_000))
def test_all_ports_together_fit_into_one_process(wanted, descriptors):
    effective = effective_limits(wanted, descriptors)
    room = descriptors - reserved_descriptors(descriptors)
    assert sum(effective) <= max(room, len(wanted))
    assert all(1 <= got <= asked for got, asked in zip(effective, wanted, strict=True))
