"""A channel on a loop: a shortage delays messages, is told if it lasts, and ends the channel if it doesn't end."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest
import uvloop
from deadlines import DEADLINE_SECONDS
from failing_socket import Always, FailingSocket

from gracehttp.wire import channel_watch
from gracehttp.wire.channel import Channel, ChannelBroken, ChannelClosed, UnreadableMessage
from gracehttp.wire.channel_watch import ChannelWatch
from gracehttp.wire.messages import Alive, Ping, Ready, Serve

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Scene:
    def __init__(self):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self.socket = FailingSocket(ours)
        self.channel, self.other = Channel(self.socket), Channel(theirs)
        self.received, self.losses, self.shortages = [], [], []
        self.watch = ChannelWatch(
            self.channel,
            on_messages=self.received.extend,
            on_lost=self.losses.append,
            on_shortage=self.shortages.append,
        )

    async def arrived(self, count=1):
        got = []
        while len(got) < count:
            await asyncio.sleep(0.001)
            got += self.other.receive()
        return got

    def close(self):
        self.watch.close()
        self.channel.close()
        self.other.close()


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


@pytest.fixture(params=LOOPS)
def play(request):
    def run(scenario):
        async def with_scene():
            scene = Scene()
            try:
                await scenario(scene)
            finally:
                scene.close()

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(asyncio.wait_for(with_scene(), DEADLINE_SECONDS))

    return run


@pytest.mark.parametrize("number", [errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS], ids=errno.errorcode.get)
def test_what_meets_a_shortage_arrives_in_order_when_it_is_over(play, number):
    async def scenario(scene):
        scene.socket.sends.extend([number] * 3)
        scene.watch.send(Serve())
        scene.watch.send(Ping())
        assert await scene.arrived(2) == [Serve(), Ping()]
        assert scene.losses == scene.shortages == []

    play(scenario)


def test_what_comes_during_a_shortage_is_received_when_it_is_over(play):
    async def scenario(scene):
        scene.socket.receives.extend([errno.ENOMEM] * 3)
        scene.other.send(Alive())
        await until(lambda: scene.received)
        assert scene.received == [Alive()]
        scene.other.send(Ready())
        await until(lambda: len(scene.received) == 2)
        assert scene.losses == []

    play(scenario)


@pytest.mark.parametrize("direction", ["sends", "receives"])
def test_a_shortage_that_lasts_is_told_and_then_ends_the_channel(play, monkeypatch, direction):
    monkeypatch.setattr(channel_watch, "TELL_AFTER_SECONDS", 0.02)
    monkeypatch.setattr(channel_watch, "GIVE_UP_AFTER_SECONDS", 0.3)

    async def scenario(_):
        scene = Scene()
        setattr(scene.socket, direction, Always([errno.ENOMEM]))
        scene.other.send(Alive())
        scene.watch.send(Serve())
        await until(lambda: scene.shortages)
        assert scene.losses == [], "it is told before"
        await until(lambda: scene.losses)
        assert [type(one) for one in scene.losses] == [ChannelBroken]
        assert scene.shortages == ["Cannot allocate memory"]
        scene.close()

    play(scenario)


def test_what_the_other_side_said_before_it_closed_comes_before_the_loss(play):
    async def scenario(scene):
        scene.other.send(Alive())
        scene.other.close()
        scene.watch.send(Serve())
        await until(lambda: scene.losses)
        assert scene.received == [Alive()]
        assert type(scene.losses[0]) is ChannelClosed

    play(scenario)


def test_an_end_that_can_not_send_is_told_after_what_has_come(play):
    async def scenario(scene):
        scene.other.send(Alive())
        scene.socket.sends.append(errno.EBADF)
        scene.watch.send(Serve())
        await until(lambda: scene.losses)
        assert scene.received == [Alive()]
        assert type(scene.losses[0]) is ChannelBroken
        scene.watch.send(Serve())
        scene.watch.receive()
        assert len(scene.losses) == 1

    play(scenario)


def test_who_speaks_no_language_of_ours_is_told(play):
    async def scenario(scene):
        scene.other._socket.send(b"nonsense\n")
        await until(lambda: scene.losses)
        assert type(scene.losses[0]) is UnreadableMessage

    play(scenario)
