"""Samples, ratios and targets."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import Figure, Target, percentile, turns


def figure(**samples: list[float]) -> Figure:
    return Figure(1, "asgi", "CPU time per request", "µs", samples)


@given(st.lists(st.floats(0, 1000), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_a_value_that_at_least_this_share_does_not_exceed(values, share):
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


def test_a_percentile_of_nothing_is_no_number():
    assert math.isnan(percentile([], 0.99))


@given(st.lists(st.integers(), min_size=1, max_size=8, unique=True), st.integers(1, 20))
def test_each_takes_part_in_each_round_once_and_rounds_are_begun_in_turn(contestants, rounds):
    orders = turns(contestants, rounds)
    assert len(orders) == rounds
    assert all(sorted(order) == sorted(contestants) for order in orders)
    assert [order[0] for order in orders] == [contestants[number % len(contestants)] for number in range(rounds)]


def test_a_ratio_is_the_median_of_the_ratios_within_rounds_and_not_the_ratio_of_medians():
    """A machine that is three times as slow in one round slows both servers."""
    found = figure(ours=[10.0, 30.0, 11.0], theirs=[20.0, 60.0, 22.0])
    assert found.ratio("ours", "theirs") == 0.5
    assert found.ratios("ours", "theirs") == [0.5, 0.5, 0.5]


def test_rounds_in_which_a_server_was_not_measured_are_left_out():
    assert figure(ours=[10.0, 10.0, 10.0], theirs=[20.0]).ratios("ours", "theirs") == [0.5]


def test_a_ratio_to_a_server_that_was_not_measured_is_no_number():
    assert math.isnan(figure(ours=[10.0]).ratio("ours", "theirs"))


@pytest.mark.parametrize(("at_least", "met"), [(False, True), (True, False)])
def test_a_target_bounds_the_ratio_to_a_peer_from_above_or_below(at_least, met):
    target = Target(1, "asgi", "CPU time per request", "theirs", 0.6, at_least)
    reached = target.reached(figure(ours=[10.0], theirs=[20.0]), "ours")
    assert reached == 0.5
    assert target.met(reached) is met


def test_a_target_without_a_peer_bounds_the_figure_itself():
    target = Target(1, "asgi", "CPU time per request", "", 15.0)
    assert target.reached(figure(ours=[10.0, 12.0, 99.0]), "ours") == 12.0


def test_a_figure_survives_json():
    before = figure(ours=[10.0])
    before.details["share"] = {"ours": [0.9]}
    assert Figure.from_json(before.as_json()) == before
