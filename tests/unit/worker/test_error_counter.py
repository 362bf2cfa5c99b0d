"""Counting responses and server errors for a probation."""

from __future__ import annotations

from timer_fakes import FakeLoop

from gracehttp.http.head import RefusedHead, RequestHead
from gracehttp.worker.error_counter import LONGER_SECONDS, REPORT_SECONDS, ErrorCounter


class Worker:
    """An error counter with its loop; `told` is what the supervisor would receive."""

    def __init__(self):
        self.loop = FakeLoop()
        self.told = []
        self.counter = ErrorCounter(10.0, self.loop)
        self.counter.on_count = lambda responses, errors: self.told.append((responses, errors))

    def answer(self, *statuses, head=None):
        for status in statuses:
            self.counter(head or RequestHead(), status, 10, 0.1)


def test_what_is_new_is_told_together_soon_after_the_first_response():
    worker = Worker()
    worker.counter.begin()
    worker.answer(200, 404, 500, 503)
    assert worker.told == []
    worker.loop.pass_time(REPORT_SECONDS)
    worker.loop.pass_time(REPORT_SECONDS)
    worker.answer(200)
    worker.loop.pass_time(REPORT_SECONDS)
    assert worker.told == [(4, 2), (1, 0)]


def test_a_response_that_was_broken_off_is_an_error_whatever_its_status():
    worker = Worker()
    worker.counter.begin()
    head = object()
    worker.counter.failed(head)
    worker.answer(200, head=head)
    worker.answer(200)
    worker.loop.pass_time(REPORT_SECONDS)
    assert worker.told == [(2, 1)]


def test_a_failure_that_was_answered_by_500_is_one_error():
    worker = Worker()
    worker.counter.begin()
    head = object()
    worker.counter.failed(head)
    worker.answer(500, head=head)
    worker.loop.pass_time(REPORT_SECONDS)
    assert worker.told == [(1, 1)]


def test_a_request_that_the_server_refused_itself_is_no_error_of_the_application():
    worker = Worker()
    worker.counter.begin()
    worker.answer(400, 501, 505, head=RefusedHead("GET", b"/", None))
    worker.answer(501)
    worker.loop.pass_time(REPORT_SECONDS)
    assert worker.told == [(4, 1)]


def test_a_client_that_was_gone_before_its_response_does_not_count():
    worker = Worker()
    worker.counter.begin()
    worker.answer(0)
    worker.loop.pass_time(REPORT_SECONDS)
    assert worker.told == []


def test_nothing_is_counted_before_it_begins_nor_long_after_and_beginning_again_changes_nothing():
    worker = Worker()
    worker.answer(500)
    worker.counter.begin()
    worker.loop.pass_time(10.0 + LONGER_SECONDS)
    worker.counter.begin()
    worker.answer(500)
    worker.loop.pass_time(1)
    assert worker.told == []


def test_a_worker_that_goes_tells_the_rest():
    worker = Worker()
    worker.counter.begin()
    worker.answer(200)
    worker.counter.end()
    assert worker.told == [(1, 0)]
    worker.answer(500)
    worker.loop.pass_time(1)
    assert worker.told == [(1, 0)]
