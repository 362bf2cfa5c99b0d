"""The sentences of events that have more to tell than their fields, and the bus that tells them."""

from __future__ import annotations

from gracehttp.events import (
    HandoverBroken,
    LimitLowered,
    ListenerOpened,
    PermitsReclaimed,
    RequestsCut,
    StopRequested,
    SubscriberFailed,
    WorkerStarted,
)
from gracehttp.events.bus import EventBus


def test_ten_cut_requests_are_named_and_the_rest_is_counted():
    cut = tuple(f"GET /{number} for 30.0 s" for number in range(12))
    sentence = str(RequestsCut(30.0, cut))
    assert "12 requests were cut: GET /0 for 30.0 s; " in sentence
    assert sentence.endswith("GET /9 for 30.0 s; and 2 more")


def test_up_to_ten_cut_requests_are_all_named():
    assert str(RequestsCut(30.0, ("GET /a for 1.0 s",))).endswith("1 request was cut: GET /a for 1.0 s")


def test_one_is_told_in_the_singular():
    assert (
        str(PermitsReclaimed("a:1", 1))
        == "a:1: a worker died with 1 open connection; it counts no longer against the limit"
    )
    assert (
        str(PermitsReclaimed("a:1", 2))
        == "a:1: a worker died with 2 open connections; they count no longer against the limit"
    )


def test_lowered_limit_tells_who_shares_what_a_process_may_open():
    assert "may open 20000 files (raise" in str(LimitLowered("a:1", 100000, 19744, 20000))
    assert "may open 20000 files, shared with 2 other ports (raise" in str(LimitLowered("a:1", 100000, 9, 20000, 2))


def test_connections_that_were_lost_are_counted():
    assert str(HandoverBroken("why")) == "a connection was lost between two generations: why"
    assert str(HandoverBroken("why", 3)) == "3 connections were lost between two generations: why"


def test_default_limit_that_is_lowered_is_told_where_it_listens() -> None:
    assert str(ListenerOpened("a:1", 5)) == "listening on a:1, at most 5 connections; no worker accepts yet"
    assert (
        str(ListenerOpened("a:1", 5, 20))
        == "listening on a:1, at most 5 connections (a process may open 20 files); no worker accepts yet"
    )
    assert "may open 20 files, shared with 1 other port)" in str(ListenerOpened("a:1", 5, 20, 1))
    assert (
        str(ListenerOpened("a:1", 5, url="https://a:1"))
        == "listening on https://a:1, at most 5 connections; no worker accepts yet"
    )
    every = ListenerOpened("0.0.0.0:1", 5, url="http://127.0.0.1:1")
    assert str(every) == "listening on 0.0.0.0:1 (http://127.0.0.1:1), at most 5 connections; no worker accepts yet"


def test_who_presses_ctrl_c_is_told_what_a_second_one_does() -> None:
    assert str(StopRequested("SIGINT", forced=False)) == "stop requested by SIGINT (a second one forces)"
    assert str(StopRequested("SIGINT", forced=True)) == "forced stop requested by SIGINT"
    assert str(StopRequested("SIGTERM", forced=False)) == "stop requested by SIGTERM"


def test_a_subscriber_that_raises_is_told_once_and_keeps_nothing_from_the_others():
    heard, bus = [], EventBus()

    def broken(event):
        raise RuntimeError(f"no room for {event}")

    bus.subscribe(broken)
    bus.subscribe(heard.append)
    for worker in (1, 2):
        bus.publish(WorkerStarted(1, worker, 100 + worker))
    failed, first, second = heard
    assert isinstance(failed, SubscriberFailed)
    assert "broken" in failed.subscriber
    assert "no room for" in failed.reason
    assert [first.worker, second.worker] == [1, 2]
