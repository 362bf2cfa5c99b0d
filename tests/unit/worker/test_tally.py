"""Counting responses and server errors for a probation."""

from __future__ import annotations

from timer_fakes import FakeLoop

from gracehttp.http.exchange import RefusedHead, RequestHead
from gracehttp.worker.tally import LONGER_SECONDS, TELL_SECONDS, Tally


class Worker:
    """A tally with its loop; `told` is what the supervisor would hear."""

    def __init__(self, then=None):
        self.loop = FakeLoop()
        self.told = []
        self.tally = Tally(10.0, self.loop, then)
        self.tally.on_count = lambda responses, errors: self.told.append((responses, errors))

    def answer(self, *statuses, head=None):
        for status in statuses:
            self.tally(head or RequestHead(), status, 10, 0.1)


def test_what_is_new_is_told_together_soon_after_the_first_response():
    worker = Worker()
    worker.tally.begin()
    worker.answer(200, 404, 500, 503)
    assert worker.told == []
    worker.loop.pass_time(TELL_SECONDS)
    worker.loop.pass_time(TELL_SECONDS)
    worker.answer(200)
    worker.loop.pass_time(TELL_SECONDS)
    assert worker.told == [(4, 2), (1, 0)]


def test_a_response_that_was_broken_off_is_an_error_whatever_its_status():
    worker = Worker()
    worker.tally.begin()
    head = object()
    worker.tally.failed(head)
    worker.answer(200, head=head)
    worker.answer(200)
    worker.loop.pass_time(TELL_SECONDS)
    assert worker.told == [(2, 1)]


def test_a_failure_that_was_answered_by_500_is_one_error():
    worker = Worker()
    worker.tally.begin()
    head = object()
    worker.tally.failed(head)
    worker.answer(500, head=head)
    worker.loop.pass_time(TELL_SECONDS)
    assert worker.told == [(1, 1)]


def test_a_request_that_the_server_refused_itself_is_no_error_of_the_application():
    worker = Worker()
    worker.tally.begin()
    worker.answer(400, 501, 505, head=RefusedHead())
    worker.answer(501)
    worker.loop.pass_time(TELL_SECONDS)
    assert worker.told == [(4, 1)]


def test_a_client_that_was_gone_before_its_response_does_not_count():
    worker = Worker()
    worker.tally.begin()
    worker.answer(0)
    worker.loop.pass_time(TELL_SECONDS)
    assert worker.told == []


def test_nothing_is_counted_before_it_begins_nor_long_after_and_beginning_again_changes_nothing():
    worker = Worker()
    worker.answer(500)
    worker.tally.begin()
    worker.loop.pass_time(10.0 + LONGER_SECONDS)
    worker.tally.begin()
    worker.answer(500)
    worker.loop.pass_time(1)
    assert worker.told == []


def test_a_worker_that_goes_tells_the_rest():
    worker = Worker()
    worker.tally.begin()
    worker.answer(200)
    worker.tally.end()
    assert worker.told == [(1, 0)]
    worker.answer(500)
    worker.loop.pass_time(1)
    assert worker.told == [(1, 0)]


def test_the_log_behind_it_hears_of_each_request():
    heard = []
    worker = Worker(then=lambda *facts: heard.append(facts[1]))
    worker.answer(200)
    worker.tally.begin()
    worker.answer(500)
    assert heard == [200, 500]
