"""`gracehttp top`: the figures that it makes of two looks, and its screen."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from deadlines import DEADLINE_SECONDS
from textual.widgets import DataTable, ProgressBar, RichLog, Static

from gracehttp.cli.live.figures import Figures, figures, read_samples
from gracehttp.cli.live.screen import Top
from gracehttp.cli.live.source import Look
from gracehttp.errors import CommandFailed
from gracehttp.supervisor.metrics.exposition import Metric, Sample, histogram, render
from gracehttp.wire.control import GenerationStatus, ListenerStatus, RecentEvent, Status, WorkerStatus


def text(*, requests=0, errors=0, durations=(0, 0, 0), cpu=1.0, counts=True):
    """As the supervisor writes it."""
    return render(
        [
            Metric(
                "gracehttp_http_requests_total",
                "counter",
                "x",
                [
                    Sample(requests, {"method": "GET", "status": "2xx"}),
                    Sample(errors, {"method": "GET", "status": "5xx"}),
                ],
            ),
            Metric("gracehttp_http_request_duration_seconds", "histogram", "x", histogram((0.01, 0.1), durations, 1.0)),
            Metric("gracehttp_worker_loop_lag_seconds", "histogram", "x", histogram((0.1,), (int(counts), 0), 0.0)),
            Metric("gracehttp_received_bytes_total", "counter", "x", [Sample(requests * 10, {"listener": "[::1]:80"})]),
            Metric("gracehttp_sent_bytes_total", "counter", "x", [Sample(requests * 100, {"listener": "[::1]:80"})]),
            Metric("gracehttp_worker_cpu_seconds_total", "counter", "x", [Sample(cpu, {"worker": "3"})]),
            Metric("gracehttp_worker_resident_memory_bytes", "gauge", "x", [Sample(50e6, {"worker": "3"})]),
        ]
    )


def between(before, after, seconds=2.0):
    return figures(read_samples(text(**before)), read_samples(text(**after)), seconds)


def test_rates_are_what_was_added_in_the_time_between():
    found = between({"requests": 100, "errors": 4}, {"requests": 300, "errors": 10})
    assert (found.requests_per_second, found.errors_per_second) == (103.0, 3.0)
    assert (found.received_bytes_per_second, found.sent_bytes_per_second) == (1000.0, 10000.0)


def test_percentiles_are_those_of_the_requests_in_between():
    found = between({"durations": (1000, 0, 1000)}, {"durations": (1090, 10, 1000)})
    assert found.percentiles_seconds[50] == pytest.approx(0.0055, abs=0.001)
    assert found.percentiles_seconds[95] == pytest.approx(0.055, abs=0.001)


def test_what_lies_above_all_bounds_is_told_as_the_highest_bound():
    assert between({}, {"durations": (0, 0, 5)}).percentiles_seconds[99] == 0.1


def test_without_requests_there_are_no_percentiles():
    assert between({}, {}).percentiles_seconds is None


def test_a_service_that_counts_nothing_has_no_rates_but_its_processes_are_known():
    found = between({"cpu": 1.0, "counts": False}, {"cpu": 1.5, "counts": False})
    assert found == Figures(cpu_share_of={"3": 0.25}, memory_bytes_of={"3": 50e6})


def test_a_service_that_was_started_anew_counts_from_zero():
    assert between({"requests": 1000}, {"requests": 10}).requests_per_second == 5.0


def a_look(at, *, state="serving", events=(), **values):
    return Look(
        at=at,
        status=Status(
            pid=4711,
            version="1.2.3",
            uptime_seconds=75.0,
            generations=(GenerationStatus(2, state, (WorkerStatus(3, 4712, "serving"),)),),
            listeners=(ListenerStatus("127.0.0.1:80", "127.0.0.1:80", 1000, 250),),
        ),
        samples=read_samples(text(**values)),
        events=events,
    )


def run(looks, check, *, size=(110, 34)):
    """Show the looks one after the other, then `check(app)`."""

    async def scene():
        left, seen = list(looks), []

        def look():
            found = left.pop(0) if len(left) > 1 else left[0]
            seen.append(found)
            if isinstance(found, Exception):
                raise found
            return found

        app = Top(look, seconds=0.01)
        async with app.run_test(size=size) as pilot:
            while len(seen) < len(looks) + 1:  # the last one is shown when another one is asked for
                await pilot.pause(0.01)
            await pilot.pause()
            check(app)

    asyncio.run(scene())


def shown(app, name):
    return str(app.query_one(name, Static).render())


def test_the_screen_shows_requests_latency_connections_and_workers():
    def check(app):
        assert "gracehttp 1.2.3" in shown(app, "#service")
        assert "generation 2 serves" in shown(app, "#service")
        assert "100 per second, 2.0 of them 5xx" in shown(app, "#requests")
        assert "p50" in shown(app, "#latency")
        assert "250 of 1,000 open" in shown(app, "#connections")
        assert app.query_one("#limit", ProgressBar).percentage == 0.25
        row = app.query_one("#workers", DataTable).get_row_at(0)
        assert row == ["2", "serving", "3", "4712", "serving", "50 MB", "25%"]

    first = a_look(0.0, cpu=1.0)
    run([first, a_look(2.0, requests=196, errors=4, durations=(200, 0, 0), cpu=1.5)], check)


def test_a_service_without_metrics_says_what_would_count_requests():
    def check(app):
        assert "requests are counted with --metrics" in shown(app, "#requests")

    run([a_look(0.0, counts=False), a_look(1.0, counts=False)], check)


def test_each_event_is_shown_once():
    one, two = RecentEvent(1.0, "notice", "generation 2 serves"), RecentEvent(2.0, "error", "worker 3 died")

    def check(app):
        lines = [line.text for line in app.query_one("#events", RichLog).lines]
        assert [line.split("  ")[1].strip() for line in lines] == ["generation 2 serves", "worker 3 died"]

    run([a_look(0.0, events=(one,)), a_look(1.0, events=(one, two)), a_look(2.0, events=(one, two))], check)


def test_a_service_that_is_gone_is_told_and_what_was_seen_stays():
    def check(app):
        assert "no supervisor listens" in shown(app, "#service")
        assert app.query_one("#workers", DataTable).row_count == 1

    run([a_look(0.0), CommandFailed("no supervisor listens at x.")], check)


def test_nothing_serves_is_said():
    run([a_look(0.0, state="draining")], lambda app: shown(app, "#service").index("nothing serves"))


def test_q_quits_and_space_pauses():
    async def scene():
        asked = []

        def look():
            asked.append(1)
            return a_look(float(len(asked)))

        app = Top(look, seconds=0.01)
        async with app.run_test() as pilot:
            await pilot.press("space")
            await pilot.pause(0.1)
            count = len(asked)
            await pilot.pause(0.1)
            assert len(asked) == count
            await pilot.press("space")
            while len(asked) == count:
                await pilot.pause(0.01)
            await pilot.press("q")
        assert app.return_code == 0

    asyncio.run(scene())


def test_without_a_terminal_it_is_one_sentence_and_status_2(tmp_path):
    command = [sys.executable, "-m", "gracehttp", "top", "--control", str(tmp_path / "c.sock")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    assert done.returncode == 2
    assert done.stderr.startswith("gracehttp: error: gracehttp top needs a terminal")
    assert "Traceback" not in done.stderr
