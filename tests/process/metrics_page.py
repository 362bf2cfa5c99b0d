"""The metrics of a running server as Prometheus reads them, and which of them tests have checked by their value."""

from __future__ import annotations

import functools

from prometheus_client.parser import text_string_to_metric_families
from server_harness import get, wait_until

from gracehttp.supervisor.metrics.catalog import CATALOG, PREFIX

CHECKED: set[str] = set()
"""Names of the catalog that some test checks by value, as `checks` says."""
_read: set[str] = set()


class Page:
    """One scrape: each of its series once, and each with the kind, help and labels that the catalog says."""

    def __init__(self, text):
        self._values = {}
        for family in text_string_to_metric_families(text):
            kind = family.type
            name = family.name.removeprefix(PREFIX) + ("_total" if kind == "counter" else "")
            entry = CATALOG[name]
            assert (kind, family.documentation) == (entry.kind, entry.help)
            for sample in family.samples:
                suffix = sample.name.removeprefix(PREFIX + name)
                assert suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
                assert sample.labels.keys() - {"le"} == set(entry.labels)
                series = self._values.setdefault(name + suffix, {})
                key = frozenset(sample.labels.items())
                assert key not in series
                series[key] = sample.value

    def value(self, name, suffix="", **labels):
        """Of one series; None if it isn't there."""
        _read.add(name)
        return self._values.get(name + suffix, {}).get(frozenset(labels.items()))

    def by(self, label, name):
        """The values of a metric with one label, by that label."""
        _read.add(name)
        return {dict(key)[label]: value for key, value in self._values.get(name, {}).items()}

    def labels(self, name):
        """The labels of a metric, one dictionary for each series."""
        return [dict(key) for key in self._values.get(name, {})]


def scrape(server):
    """`server.metrics_port` is where."""
    status, text = get(server.metrics_port, "/metrics")
    assert status == 200
    return Page(text)


def scrape_until(server, shows):
    """The first page of which `shows(page)` tells nothing but equal pairs: what the page says, and what is right.

    Workers write down once a second what they count, so a page may be behind. What is wrong for good fails with the
    pairs that differ."""
    page, differ = None, {}

    def is_right():
        nonlocal page, differ
        page = scrape(server)
        differ = {what: pair for what, pair in shows(page).items() if pair[0] != pair[1]}
        return not differ

    try:
        wait_until(is_right)
    except AssertionError as error:
        reasons = [f"{what} is {found}, not {right}" for what, (found, right) in differ.items()]
        raise AssertionError("; ".join(reasons)) from error
    return page


def checks(*names):
    """Of a test: it fails if one of these metrics shows nonsense. Each must be read from a page in the test."""
    CHECKED.update(names)

    def with_names(test):
        @functools.wraps(test)
        def checked(*arguments, **fixtures):
            _read.clear()
            test(*arguments, **fixtures)
            assert _read >= set(names), f"not read from a page: {', '.join(sorted(set(names) - _read))}"

        return checked

    return with_names
