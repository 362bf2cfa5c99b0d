"""Times of the log in one zone, whatever happens to that of the process."""

from __future__ import annotations

import datetime
import logging
import time

import pytest

from gracehttp.observe.formatters import TextFormatter
from gracehttp.observe.local_time import local_time, offsets, offsets_from, use_offsets
from gracehttp.observe.logs import configure_logging

HOUR = 3600
DAY = 24 * HOUR
SUMMER_BEGINS = int(datetime.datetime(2026, 3, 29, 1, tzinfo=datetime.UTC).timestamp())  # in all of the European Union
WINTER_BEGINS = int(datetime.datetime(2026, 10, 25, 1, tzinfo=datetime.UTC).timestamp())
NEW_YEAR = int(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp())
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"  # as in POSIX, so that no data base of zones is needed


@pytest.fixture(autouse=True)
def zone(monkeypatch):
    """Sets the zone of the process, which is an unknown one of the log."""
    use_offsets(())

    def enter(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield enter
    monkeypatch.undo()
    time.tzset()
    use_offsets(())


def test_the_changes_of_the_next_years_are_known_to_the_second(zone):
    zone(BERLIN)
    noted = offsets_from(NEW_YEAR, years=10)
    assert noted[:3] == ((0, HOUR), (SUMMER_BEGINS, 2 * HOUR), (WINTER_BEGINS, HOUR))
    assert len(noted) == 1 + 2 * 10


@pytest.mark.parametrize(
    "name", [BERLIN, "UTC0", "<+0530>-5:30", "NZST-12NZDT,M9.5.0,M4.1.0/3", "EST5EDT,M3.2.0,M11.1.0"]
)
def test_it_is_the_time_that_the_system_has(zone, name):
    zone(name)
    use_offsets(offsets_from(NEW_YEAR, years=2))
    for second in range(NEW_YEAR - DAY, NEW_YEAR + 730 * DAY, 5 * HOUR + 1):
        assert local_time(second) == time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


def test_an_application_that_changes_the_zone_changes_no_line(zone):
    zone(BERLIN)
    use_offsets(offsets_from(NEW_YEAR))
    record = logging.makeLogRecord({"msg": "x", "levelname": "INFO", "process": 1, "created": SUMMER_BEGINS - 0.5})
    zone("JST-9")
    configure_logging("info", "text", color=False)
    formatter = TextFormatter(color=False)
    assert formatter.format(record) == "2026-03-29 01:59:59.500 INFO    [1] x"
    record.created += 1
    assert formatter.format(record) == "2026-03-29 03:00:00.500 INFO    [1] x"


def test_the_zone_is_that_of_the_time_at_which_the_log_began(zone):
    zone("JST-9")
    configure_logging("info", "text", color=False)
    zone("UTC0")
    assert local_time(SUMMER_BEGINS) == "2026-03-29 10:00:00"


def test_a_worker_has_the_zone_of_its_supervisor(zone):
    zone("JST-9")
    assert local_time(SUMMER_BEGINS) == "2026-03-29 10:00:00"
    use_offsets(((NEW_YEAR, -HOUR),))
    assert local_time(SUMMER_BEGINS) == "2026-03-29 00:00:00"
    assert offsets() == ((NEW_YEAR, -HOUR),)
