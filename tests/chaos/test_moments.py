"""Every moment in the life of a connection at which a restart can come: the answer is whole, on the same connection."""

from __future__ import annotations

import signal

import pytest
from conversation import Conversation
from server_harness import wait_until

LOOPS = ["uvloop", "asyncio"]
OPTIONS = ("--header-timeout", "2m", "--body-timeout", "2m", "--drain-timeout", "1m")
"""Longer than a restart takes on a machine that is very busy: clients wait for it in the middle of a message."""


@pytest.fixture(params=[*LOOPS, "unix"])
def place(request, begin, tmp_path):
    """A server on each event loop, and on a Unix socket; `where` is what a `Conversation` connects to."""
    if request.param == "unix":
        server = begin(bind=f"unix:{tmp_path}/socket", options=OPTIONS)
        server.where = f"{tmp_path}/socket"
    else:
        server = begin(loop=request.param, options=OPTIONS)
        server.where = server.port
    return server


def hang_up(server, conversations):
    """All clients leave; not a permit is missing afterwards."""
    generations = server.generations()
    for one in conversations:
        one.assert_never_back(generations)
        one.sock.close()
    server.wait_until_all_permits_are_free()
    assert server.counted() == sum(one.asked for one in conversations)
    assert "ERROR" not in server.log
    assert "Traceback" not in server.log
    assert "of a dead worker" not in server.log, "nobody died, so nothing was missing"


def test_a_head_that_is_cut_at_any_byte_is_answered(place):
    """One connection for each byte of the head. In each round the rest comes at another moment of the restart."""
    first = Conversation(place.where)
    length = len(first.request())
    first.sock.close()
    conversations = [Conversation(place.where) for _ in range(length)]
    generation = 1

    def cut():
        requests = [one.request() for one in conversations]
        for byte, (one, request) in enumerate(zip(conversations, requests, strict=True)):
            one.send(request[:byte])
        return requests

    def send_the_rest(requests):
        for byte, (one, request) in enumerate(zip(conversations, requests, strict=True)):
            one.send(request[byte:])

    for moment in ("while the new generation starts", "while the old one hands over", "when the new one serves"):
        requests = cut()
        generation += 1
        place.send_signal(signal.SIGHUP)
        if moment == "while the new generation starts":
            place.wait_for(rf"worker \d+ of generation {generation} started")
            send_the_rest(requests)
            place.wait_until_serving(generation)
        elif moment == "while the old one hands over":
            place.wait_for(rf"worker \d+ of generation {generation} is ready", count=2)
            send_the_rest(requests)
            place.wait_until_serving(generation)
        else:
            place.wait_until_serving(generation)
            send_the_rest(requests)
        for one in conversations:
            one.answer()
            assert not one.closing, (moment, one)
        place.wait_until_gone(generation - 1)
    last = place.wait_until_serving(generation)
    for one in conversations:
        assert one.ask() in last
    hang_up(place, conversations)


def test_pipelined_requests_are_answered_in_order_across_restarts(place):
    """The first of them is slow, so that the restart finds the others waiting, more than one message can carry."""
    with Conversation(place.where) as few, Conversation(place.where) as many, Conversation(place.where) as slow:
        few.send(few.request(sleep=0.5) + b"".join(few.request() for _ in range(20)))
        many.send(many.request(sleep=0.5) + b"".join(many.request() for _ in range(1500)))
        for generation in (2, 3):
            slow.send(b"".join(slow.request(sleep=0.05) for _ in range(20)))
            latest = place.restart(generation)
            for one in (few, many, slow):
                while one.answered < one.asked:
                    one.answer()
            place.wait_until_gone(generation - 1)
            for one in (few, many, slow):
                assert not one.closing
                assert one.ask() in latest
        hang_up(place, [few, many, slow])


def test_a_request_whose_body_is_cut_by_a_restart_is_answered(place):
    body = bytes(range(256)) * 64
    cuts = (0, 1, len(body) // 2, len(body) - 1)
    conversations = [Conversation(place.where) for _ in cuts]
    rests = []
    for one, cut in zip(conversations, cuts, strict=True):
        request = one.request(method="POST", body=body)
        at = len(request) - len(body) + cut
        one.send(request[:at])
        rests.append(request[at:])
    second = place.restart(2)
    for one, rest in zip(conversations, rests, strict=True):
        one.send(rest)
        one.answer()
        assert not one.closing
        assert one.ask() in second
    hang_up(place, conversations)


def test_who_waits_for_100_continue_during_a_restart_is_told_to_go_on(place):
    body = b"x" * 10_000
    before, after = Conversation(place.where), Conversation(place.where)
    waiting = before.request(method="POST", body=body, fields="Expect: 100-continue\r\n")
    before.send(waiting[: -len(body)])
    before.wait_for_continue()
    late = after.request(method="POST", body=body, fields="Expect: 100-continue\r\n")
    after.send(late[: -len(body) - 4])
    second = place.restart(2)
    after.send(late[-len(body) - 4 : -len(body)])
    after.wait_for_continue()
    for one in (before, after):
        one.send(body)
        one.answer()
        assert one.ask() in second
    hang_up(place, [before, after])


def test_a_slow_reader_of_10_megabytes_gets_them_all_and_keeps_its_connection(place):
    with Conversation(place.where, receive_buffer_bytes=4096) as one:
        one.send(one.request(size=10_000_000))
        one.wait_for_bytes()
        second = place.restart(2)
        one.answer()
        assert not one.closing
        assert one.ask() in second
        hang_up(place, [one])


def test_a_client_that_leaves_in_the_middle_takes_nothing_along(place):
    leavers = [Conversation(place.where) for _ in range(8)]
    for index, one in enumerate(leavers):
        request = one.request(method="POST", body=b"x" * 1000, size=1_000_000, sleep=0.2)
        one.send(request[: (10, 60, -500, len(request))[index % 4]])
    place.send_signal(signal.SIGHUP)
    for one in leavers[:4]:
        one.sock.close()
    place.wait_until_serving(2)
    for one in leavers[4:]:
        one.sock.close()
    place.wait_until_gone(1)
    place.wait_until_all_permits_are_free()
    assert place.open_connections() == 0
    assert "ERROR" not in place.log


def test_http_1_0_with_keep_alive_keeps_its_connection(place):
    fields = "Connection: keep-alive\r\n"
    with Conversation(place.where) as idle, Conversation(place.where) as busy:
        idle.ask(version="1.0", fields=fields)
        busy.send(busy.request(version="1.0", fields=fields, sleep=0.5))
        second = place.restart(2)
        busy.answer()
        for one in (idle, busy):
            assert one.ask(version="1.0", fields=fields) in second
        hang_up(place, [idle, busy])


def test_a_client_that_has_shut_down_its_side_gets_all_its_answers(place):
    with Conversation(place.where) as one:
        one.send(one.request(sleep=0.5) + one.request() + one.request())
        one.sock.shutdown(1)
        place.restart(2)
        while one.answered < one.asked:
            one.answer()
        assert one.sock.recv(1) == b""
        hang_up(place, [one])


def test_one_worker_less_during_a_restart_closes_no_connection(place):
    conversations = [Conversation(place.where) for _ in range(20)]
    for one in conversations:
        one.ask()
    place.send_signal(signal.SIGHUP)
    place.send_signal(signal.SIGTTOU)
    for one in conversations[:10]:
        one.ask()
    place.wait_until_serving(2)
    place.send_signal(signal.SIGTTOU)
    place.wait_until_gone(1)
    (left,) = wait_until(lambda: len(place.workers()) == 1 and place.workers(), what="a single worker")
    wait_until(lambda: place.open_connections() == 20, what="all connections in that worker")
    for one in conversations:
        assert one.ask() == left
    hang_up(place, conversations)
