"""What is a hang and what isn't, judged by the words of a page alone."""

from __future__ import annotations

import pytest

from gracehttp.supervisor.fleet.hang_detector import Hang, HangDetector, Observation, seconds_between_looks

TIMEOUT = 8.0
STEP = seconds_between_looks(TIMEOUT)


def seen(beats, progress=None, *, debugged=False, stopped=False):
    return Observation(beats, beats if progress is None else progress, debugged=debugged, stopped=stopped)


def watch(*observations, seconds=STEP):
    detector = HangDetector()
    return [detector.observe(one, seconds, TIMEOUT) for one in observations]


def test_a_loop_without_a_beat_for_the_hang_timeout_hangs():
    assert watch(*[seen(7)] * 5) == [None, None, None, None, Hang("loop", 8.0)]


def test_a_beat_begins_anew():
    assert not any(watch(seen(7), seen(7), seen(7), seen(8), seen(8), seen(8), seen(8)))


def test_beats_without_progress_are_threads_that_hang():
    assert watch(*[seen(beats, 3) for beats in range(5, 10)])[-1] == Hang("threads", 8.0)


def test_a_worker_that_is_not_ready_yet_has_no_beat_and_does_not_hang():
    assert not any(watch(*[seen(0)] * 20))


@pytest.mark.parametrize("how", ["stopped", "debugged"])
def test_a_worker_that_somebody_stops_or_debugs_does_not_hang(how):
    assert not any(watch(*[seen(7, **{how: True})] * 20))


def test_the_time_of_a_stopped_worker_does_not_count_after_it_goes_on():
    stopped = [seen(7, stopped=True)] * 10
    assert not any(watch(*stopped, *[seen(7)] * 4))
    assert watch(*stopped, *[seen(7)] * 5)[-1] == Hang("loop", 8.0)


def test_time_in_which_the_supervisor_was_stopped_too_says_nothing():
    assert watch(seen(7), seen(7), seconds=3600.0) == [None, None]


def test_a_short_timeout_is_looked_at_often_and_a_long_one_not_seldom():
    assert seconds_between_looks(1.0) == 0.25
    assert seconds_between_looks(3600.0) == 2.0
