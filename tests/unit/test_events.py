"""The sentences of events that have more to tell than their fields."""

from __future__ import annotations

from gracehttp.events import RequestsCut


def test_ten_cut_requests_are_named_and_the_rest_is_counted():
    cut = tuple(f"GET /{number} for 30.0 s" for number in range(12))
    sentence = str(RequestsCut(30.0, cut))
    assert "12 requests were cut: GET /0 for 30.0 s; " in sentence
    assert sentence.endswith("GET /9 for 30.0 s; and 2 more")


def test_up_to_ten_cut_requests_are_all_named():
    assert str(RequestsCut(30.0, ("GET /a for 1.0 s",))).endswith("1 requests were cut: GET /a for 1.0 s")
