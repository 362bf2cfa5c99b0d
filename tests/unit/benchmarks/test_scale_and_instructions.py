"""The arithmetic of balance, and the check of instruction counts."""

from __future__ import annotations

import pytest

from benchmarks import deployed
from benchmarks.instructions import falls, rises
from benchmarks.scale.balance import Spread, survival


@pytest.mark.parametrize(("chi_square", "p"), [(0.352, 0.95), (2.366, 0.50), (7.815, 0.05), (16.266, 0.001)])
def test_the_probability_of_chi_square_is_that_of_tables_for_three_degrees_of_freedom(chi_square, p):
    assert survival(chi_square) == pytest.approx(p, abs=0.0005)


def test_an_even_spread_differs_by_nothing_and_an_uneven_one_by_more_than_chance():
    assert Spread("even", [25, 25, 25, 25]).chi_square == 0
    assert Spread("even", [25, 25, 25, 25]).p == 1
    assert Spread("one took all", [100, 0, 0, 0]).p < 1e-9


def test_a_rise_of_more_than_five_percent_is_told():
    recorded = {"1": 100_000, "2": 100_000, "8": 100_000}
    assert rises({"1": 105_000, "2": 94_000, "8": 100_000}, recorded) == []
    (sentence,) = rises({"1": 105_001, "2": 100_000}, recorded)
    assert sentence.startswith("scene 1 takes 105,001 instructions, 5.0% more")


def test_a_fall_of_more_than_five_percent_asks_for_a_new_record():
    assert falls({"1": 95_000}, {"1": 100_000}) == []
    assert "record it" in falls({"1": 90_000}, {"1": 100_000})[0]


def test_scenes_without_a_record_are_not_compared():
    assert rises({"9": 1}, {}) == falls({"9": 1}, {}) == []


def test_each_version_of_the_deployed_application_has_a_length_of_its_own(tmp_path):
    """Else bytecode of the version before, written within the same second, would be taken for it."""
    sizes = set()
    for code in range(1, 10):
        deployed.deploy(tmp_path, code)
        sizes.add((tmp_path / "deployed.py").stat().st_size)
    assert len(sizes) == 9


def test_a_broken_deploy_does_not_start(tmp_path):
    deployed.deploy(tmp_path, 1, first=deployed.BROKEN)
    with pytest.raises(RuntimeError, match="does not start"):
        exec(compile((tmp_path / "deployed.py").read_text(), "deployed.py", "exec"), {})
