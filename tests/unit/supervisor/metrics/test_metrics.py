"""The metrics: their text as Prometheus reads it, the sums over workers that come and go, and their names."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gracehttp import events
from gracehttp.http.head import RefusedHead
from gracehttp.http.request_counter import RequestCounter
from gracehttp.net.shared_page import SharedPage
from gracehttp.net.worker_page import DURATION_BOUNDS_SECONDS, METHODS, PORT_FIELDS, STATUSES, WORKER_LAYOUT
from gracehttp.supervisor.metrics.catalog import CATALOG, PREFIX
from gracehttp.supervisor.metrics.exposition import Metric, Sample, histogram, render
from gracehttp.supervisor.metrics.facts import Facts, cause_of
from gracehttp.supervisor.metrics.pages import WorkerPages

ROOT = Path(__file__).parents[4]
LISTENERS = {1: "127.0.0.1:80", 2: "[::]:443"}


# --- the text ---


def read(text):
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_labels_with_quotes_backslashes_and_line_ends_are_read_as_they_were():
    strange = 'a "name"\\with\nall'
    (family,) = read(
        render([Metric("x_info", "gauge", 'help with "quotes"\n', [Sample(1, {"path": strange})])])
    ).values()
    assert family.samples[0].labels == {"path": strange}
    assert family.documentation == 'help with "quotes"\n'


def test_the_buckets_of_a_histogram_add_up():
    samples = histogram((0.1, 1.0), (3, 2, 1), 4.5)
    (family,) = read(render([Metric("x_seconds", "histogram", "x", samples)])).values()
    found = {(one.name, one.labels.get("le")): one.value for one in family.samples}
    assert found == {
        ("x_seconds_bucket", "0.1"): 3,
        ("x_seconds_bucket", "1"): 5,
        ("x_seconds_bucket", "+Inf"): 6,
        ("x_seconds_sum", None): 4.5,
        ("x_seconds_count", None): 6,
    }


def test_a_metric_without_samples_is_left_out():
    assert render([Metric("x", "gauge", "x", [])]) == ""


# --- what workers count ---


@pytest.fixture
def pages():
    one = WorkerPages(LISTENERS.__getitem__)
    yield one
    one.close()


def page_of(pages, worker):
    """As the worker has it."""
    return SharedPage(pages.give(worker), WORKER_LAYOUT)


def counter_on(page, then=None):
    return RequestCounter(*map(page.words, ("requests", "durations", "body_bytes")), then)


def test_what_a_worker_has_counted_stays_when_it_is_gone(pages):
    one, two = page_of(pages, 1), page_of(pages, 2)
    counter_on(one).count("GET", 200, 10, 0.0005)
    counter_on(two).count("GET", 200, 20, 0.0005)
    before = pages.counts()
    pages.gone(1)
    assert pages.counts().groups == before.groups
    assert before.groups["requests"][STATUSES.index("2xx")] == 2
    assert before.groups["body_bytes"] == [30]
    pages.gone(1)  # a second time changes nothing
    assert pages.counts().groups == before.groups


def test_counts_go_on_in_another_process(pages):
    counter_on(page_of(pages, 1)).count("POST", 404, 1, 0.2)
    pages.gone(1)
    page = page_of(pages, 2)
    counter_on(page).count("POST", 404, 1, 0.2)
    again = WorkerPages(LISTENERS.__getitem__, pages.carry())
    assert again.counts().groups == pages.counts().groups
    counter_on(page).count("POST", 404, 1, 0.2)
    assert sum(again.counts().groups["requests"]) == 3


def test_ports_are_counted_by_the_name_of_their_listener(pages):
    for worker in (1, 2):
        words = page_of(pages, worker).words("ports")
        for at, counts in enumerate([(2, 5, 1, 2, 300, 400, 7), (3, 50, 10, 20, 3000, 4000, 70)]):
            for field, count in enumerate(counts):
                words[at * len(PORT_FIELDS) + field] = count
    assert pages.counts().port_count("accepted") == {"127.0.0.1:80": 10, "[::]:443": 100}
    assert pages.counts().port_count("sent_bytes") == {"127.0.0.1:80": 800, "[::]:443": 8000}
    assert pages.idle() == {"127.0.0.1:80": 14, "[::]:443": 140}
    pages.gone(1)
    assert pages.counts().port_count("accepted") == {"127.0.0.1:80": 10, "[::]:443": 100}
    assert pages.idle() == {"127.0.0.1:80": 7, "[::]:443": 70}, "what is gone is idle no more"


@pytest.mark.parametrize(
    ("method", "status", "place"),
    [
        ("GET", 200, ("GET", "2xx")),
        ("GET", 0, ("GET", "none")),
        ("DELETE", 503, ("DELETE", "5xx")),
        ("BREW", 418, ("other", "4xx")),
        ("-", 400, ("other", "4xx")),
        ("GET", 999, ("GET", "none")),
        ("GET", 101, ("GET", "1xx")),
    ],
)
def test_a_request_is_counted_at_its_method_and_status(pages, method, status, place):
    page = page_of(pages, 1)
    counter_on(page).count(method, status, 0, 0.0)
    words = list(page.words("requests"))
    assert words.index(1) == METHODS.index(place[0]) * len(STATUSES) + STATUSES.index(place[1])
    assert sum(words) == 1


@pytest.mark.parametrize(("seconds", "place"), [(0.0, 0), (0.001, 0), (0.0011, 1), (0.3, 8), (60.0, 14), (61.0, 15)])
def test_a_duration_is_counted_at_the_lowest_bound_that_is_not_below_it(pages, seconds, place):
    page = page_of(pages, 1)
    counter_on(page).count("GET", 200, 0, seconds)
    *buckets, total = page.words("durations")
    assert buckets.index(1) == place
    assert len(buckets) == len(DURATION_BOUNDS_SECONDS) + 1
    assert total == pytest.approx(seconds * 1e6, abs=1)


def test_a_websocket_is_a_request_without_latency(pages):
    page = page_of(pages, 1)
    counter_on(page).count("GET", 101, 0, 3600.0)
    assert sum(page.words("durations")) == 0


def test_who_else_wants_to_hear_of_requests_is_told(pages):
    told = []
    counter = counter_on(page_of(pages, 1), lambda *facts: told.append(facts))
    head = RefusedHead("", b"", None)
    counter(head, 400, 12, 0.5)
    assert told == [(head, 400, 12, 0.5)]


# --- what the supervisor counts ---


def facts_of(*happened, times=(0.0,) * 20):
    left = list(times)
    facts = Facts(lambda: left.pop(0))
    for event in happened:
        facts.on_event(event)
    return facts


def test_a_restart_counts_with_its_outcome_and_its_time():
    facts = facts_of(events.RestartRequested(2, "SIGHUP"), events.GenerationPromoted(2, (1,)), times=(10.0, 13.5))
    assert facts.labelled("restarts") == {"promoted": 1, "given_up": 0, "rolled_back": 0}
    assert facts.duration_microseconds == 3_500_000


def test_the_first_start_is_no_restart():
    assert facts_of(events.GenerationPromoted(1, (1,))).labelled("restarts")["promoted"] == 0


@pytest.mark.parametrize(
    ("event", "name", "label"),
    [
        (events.WorkerHung(1, 1, 5, "loop", 30.0), "worker_hangs", "loop"),
        (events.WorkerHung(1, 1, 5, "threads", 30.0), "worker_hangs", "threads"),
        (events.GenerationRolledBack(2, 1, 0.5, "too many errors"), "restarts", "rolled_back"),
        (events.WorkerDied(1, 1, "hung, and was ended", None), "worker_deaths", "hung"),
    ],
)
def test_what_happens_is_counted_under_its_label(event, name, label):
    counts = facts_of(event, event).labelled(name)
    assert counts.pop(label) == 2
    assert not any(counts.values())


def test_facts_go_on_in_another_process():
    facts = facts_of(events.WorkerStarted(1, 1, 5), events.WorkerDied(1, 1, "was killed by SIGKILL", None))
    again = Facts(lambda: 0.0, facts.carry())
    assert again.labelled("worker_deaths") == {"SIGKILL": 1}
    assert again.counts["worker_starts"] == 1


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("was killed by SIGSEGV", "SIGSEGV"),
        ("was killed by signal 64", "signal_64"),
        ("ended with status 3", "status_3"),
        ("ended with status 3: NameError: name 'x' is not defined", "status_3"),
        ("hung, and was ended", "hung"),
        ("failed: something that a user wrote", "other"),
    ],
)
def test_causes_of_death_are_few(how, cause):
    assert cause_of(how) == cause


# --- names ---


@pytest.mark.parametrize("name", CATALOG)
def test_names_follow_the_conventions(name):
    """prometheus.io/docs/practices/naming, as far as `promtool check metrics` looks at it."""
    one = CATALOG[name]
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert name.endswith("_total") == (one.kind == "counter")
    assert not name.endswith(("_count", "_sum", "_bucket", "_milliseconds", "_kilobytes", "_percent"))
    assert one.kind not in name
    assert one.help.endswith(".")
    assert not {"le", "quantile", "job", "instance"} & set(one.labels)


def names_in(text):
    return {re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(rf"\b{PREFIX}(\w+)", text)}


def test_the_dashboard_uses_only_names_and_labels_that_exist():
    text = (ROOT / "examples" / "grafana.json").read_text()
    queries = [one["expr"] for panel in json.loads(text)["panels"] for one in panel["targets"]]
    assert names_in(text) <= CATALOG.keys()
    assert len(queries) > 20
    labels = {label for one in CATALOG.values() for label in one.labels} | {"le"}
    used = {
        label.strip()
        for query in queries
        for group in re.findall(r"by \(([^)]*)\)", query)
        for label in group.split(",")
    }
    assert used <= labels


def test_the_page_names_every_metric_and_no_other():
    made = runpy.run_path(str(ROOT / "docs" / "make_metrics.py"))["page"]()
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert page == made, "run python docs/make_metrics.py"
    assert names_in(page) == CATALOG.keys()
