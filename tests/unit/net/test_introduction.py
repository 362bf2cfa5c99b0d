"""The stage in which a proxy introduces its client, on real sockets."""

from __future__ import annotations

import pytest
from floor import BOTH, runner_for, turns, until

from gracehttp.net.deadlines import Deadlines
from gracehttp.net.introduction import Introduction
from gracehttp.net.proxy_protocol import ProxyHeader

HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n"
TOLD = ProxyHeader(True, ("192.0.2.1", 56324), ("192.0.2.9", 443))
SECONDS = 10.0


@pytest.fixture(params=BOTH)
def run(request):
    return runner_for(request.param)


class Stage:
    """A client, its stream in the stage, and what was told."""

    def __init__(self, floor):
        self.client, self.stream, self.seen = floor.stream()
        self.deadlines = Deadlines(SECONDS, floor.clock)
        self.headers, self.refused = [], []
        self.stage = Introduction(
            self.stream,
            self.deadlines,
            lambda header, rest: self.headers.append((header, rest)),
            self.refused.append,
        )


def test_the_header_is_told_with_what_has_come_behind_it_and_the_rest_goes_to_the_next_consumer(run):
    async def scenario(floor):
        stage = Stage(floor)
        stage.client.send(HEADER + b"beginning")
        await until(lambda: stage.headers)
        assert stage.headers == [(TOLD, b"beginning")]
        assert stage.stream.consumer is stage.seen
        assert not len(stage.deadlines)
        stage.client.send(b"rest")
        await until(lambda: stage.seen.data)
        assert stage.seen.data == b"rest"
        stage.client.end()
        await until(lambda: stage.seen.ends)
        stage.stream.abort()
        assert (stage.seen.closes, stage.refused) == (1, [])

    run(scenario)


def test_a_header_in_single_bytes_is_put_together(run):
    async def scenario(floor):
        stage = Stage(floor)
        for at in range(len(HEADER)):
            assert not stage.headers
            stage.client.send(HEADER[at : at + 1])
            await turns(2)
        await until(lambda: stage.headers)
        assert stage.headers == [(TOLD, b"")]

    run(scenario)


def test_what_is_no_header_closes_the_connection_and_is_told(run):
    async def scenario(floor):
        stage = Stage(floor)
        stage.client.send(b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: stage.refused)
        assert stage.refused == ["it begins with no PROXY header"]
        assert (stage.stream.closed, stage.seen.closes, len(stage.deadlines)) == (True, 1, 0)

    run(scenario)


def test_a_header_that_does_not_come_in_time_closes_the_connection_and_is_told(run):
    async def scenario(floor):
        stage = Stage(floor)
        stage.client.send(HEADER[:-1])
        await turns(20)
        floor.clock.pass_time(SECONDS - 1)
        assert not stage.stream.closed
        floor.clock.pass_time(1.1)
        assert (stage.stream.closed, stage.seen.closes) == (True, 1)
        assert stage.refused == ["its PROXY header didn't come within 10 s"]

    run(scenario)


@pytest.mark.parametrize("sent", [b"", b"PROXY "], ids=["nothing", "a part"])
def test_a_peer_that_leaves_early_is_told_of_if_it_had_begun(run, sent):
    async def scenario(floor):
        stage = Stage(floor)
        if sent:
            stage.client.send(sent)
        stage.client.end()
        await until(lambda: stage.stream.closed)
        assert stage.refused == (["its PROXY header was cut"] if sent else [])
        assert (stage.seen.closes, len(stage.deadlines)) == (1, 0)

    run(scenario)


def test_a_reset_leaves_no_deadline_behind(run):
    async def scenario(floor):
        stage = Stage(floor)
        stage.client.reset()
        await until(lambda: stage.stream.closed)
        assert (stage.seen.closes, len(stage.deadlines), stage.headers) == (1, 0, [])

    run(scenario)


def test_a_connection_that_the_worker_closes_meanwhile_is_told_to_its_owner(run):
    async def scenario(floor):
        stage = Stage(floor)
        stage.stream.abort()
        assert (stage.seen.closes, len(stage.deadlines), stage.refused) == (1, 0, [])

    run(scenario)
