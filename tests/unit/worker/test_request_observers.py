"""Several observers of finished requests, told as one."""

from __future__ import annotations

from gracehttp.worker.observers import as_one


def test_without_observers_there_is_nothing_to_call():
    assert as_one() is None
    assert as_one(None, None) is None


def test_one_observer_is_called_directly():
    def observer(head, status, body_bytes, seconds):
        raise NotImplementedError

    assert as_one(None, observer) is observer


def test_each_observer_is_told_of_each_request_in_order():
    told = []
    head = object()
    both = as_one(lambda *facts: told.append(("first", *facts)), None, lambda *facts: told.append(("second", *facts)))
    both(head, 200, 12, 0.5)
    both(head, 500, 0, 0.25)
    assert told == [
        ("first", head, 200, 12, 0.5),
        ("second", head, 200, 12, 0.5),
        ("first", head, 500, 0, 0.25),
        ("second", head, 500, 0, 0.25),
    ]
