"""Durations and sizes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gracehttp.config.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30.0),
        ("30", 30.0),
        ("0.25", 0.25),
        ("1m30s", 90.0),
        ("2h", 7200.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("1d", 86400.0),
        ("1.1s100ms", 1.2),
        (" 5S ", 5.0),
        ("0", 0.0),
    ],
)
def test_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", " ", "s", "-1", "-1s", "1s30m", "1m 30s", "5x", "inf", "nan", "1e3", "٣s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=366 * 86_400_000))
def test_duration_survives_being_written_and_read(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.5, "500ms"), (75, "1m15s"), (3600, "1h"), (90, "1m30s"), (1.25, "1s250ms")]
)
def test_duration_is_shown_in_its_shortest_form(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_duration_below_a_millisecond_is_shown_as_it_is() -> None:
    assert format_duration(0.0005) == "0.0005s"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("64k", 65536),
        ("64K", 65536),
        ("64kB", 65536),
        ("64KiB", 65536),
        ("10M", 10485760),
        ("1.5g", 1610612736),
        ("7b", 7),
    ],
)
def test_size_is_read_as_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "k", "-1", "1.5", "10 M", "1T", "0x10", "1_000"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_size(text)


@given(st.integers(min_value=0, max_value=1 << 50))
def test_size_survives_being_written_and_read(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0"), (65536, "64k"), (1000, "1000"), (1 << 30, "1G"), (10 << 20, "10M")]
)
def test_size_is_shown_with_the_largest_unit_that_fits(size: int, text: str) -> None:
    assert format_size(size) == text
