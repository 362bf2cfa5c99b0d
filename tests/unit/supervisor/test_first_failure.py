"""What the last line of a service says that never came to serve."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gracehttp.supervisor.first_failure import FirstFailure
from gracehttp.supervisor.processes.process import Ending
from gracehttp.wire.messages import Failed

TOLD = Failed("no luck.", "try again", "Traceback")


@pytest.mark.parametrize(("logged", "details"), [(True, ""), (False, "Traceback")])
def test_what_the_first_worker_told_counts_with_the_details_that_nobody_has_seen(logged, details):
    failure = FirstFailure(errors_are_logged=logged)
    failure.worker_ended(SimpleNamespace(failure=TOLD), Ending("failed: no luck", "Traceback", "Traceback"))
    failure.worker_ended(SimpleNamespace(failure=Failed("later.", "", "")), Ending("failed: later"))
    failure.given_up("its worker 1 failed")
    error = failure.error
    assert (error.message, error.hint, error.details) == ("no luck.", "try again", details)
    assert error.is_logged == logged


@pytest.mark.parametrize(("logged", "details"), [(True, ""), (False, "held")])
def test_a_worker_that_told_nothing_leaves_what_it_wrote(logged, details):
    failure = FirstFailure(errors_are_logged=logged)
    failure.worker_ended(SimpleNamespace(failure=None), Ending("ended with status 1", "said", "held"))
    failure.given_up("its worker 1 ended with status 1")
    error = failure.error
    assert (error.message, error.details) == (
        "the service could not start: its worker 1 ended with status 1.",
        details,
    )
