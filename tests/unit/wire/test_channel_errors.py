"""What each error of the kernel means for a channel: a shortage loses no message, and all else is an end."""

from __future__ import annotations

import errno
import os
import socket

import pytest
from failing_socket import Always, FailingSocket

from gracehttp.values import Descriptor
from gracehttp.wire import channel as module
from gracehttp.wire.channel import Channel, ChannelBroken, ChannelClosed, Shortage
from gracehttp.wire.messages import CompareCode, Drain, DrainReason, Ping, Ready, Serve

PASSING = [errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS, errno.EMFILE, errno.ENFILE, errno.EINTR]
CLOSED = [errno.EPIPE, errno.ECONNRESET]
BROKEN = [errno.EBADF, errno.ENOTCONN, errno.EIO]


class Pair:
    def __init__(self):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self.socket = FailingSocket(ours)
        self.channel, self.other = Channel(self.socket), Channel(theirs)

    def close(self):
        self.channel.close()
        self.other.close()


@pytest.fixture
def pair():
    opened = Pair()
    yield opened
    opened.close()


@pytest.mark.parametrize("order", [Serve(), Drain(DrainReason.RESTART, 1.0)], ids=["serve", "drain"])
@pytest.mark.parametrize("number", PASSING, ids=errno.errorcode.get)
def test_an_order_that_meets_a_shortage_is_kept_and_sent_once(pair, order, number):
    pair.socket.sends.append(number)
    with pytest.raises(Shortage):
        pair.channel.send(order)
    assert pair.channel.pending
    assert pair.other.receive() == []
    pair.channel.flush()
    assert not pair.channel.pending
    assert pair.other.receive() == [order]


@pytest.mark.parametrize("number", PASSING, ids=errno.errorcode.get)
def test_descriptors_that_meet_a_shortage_arrive_later(pair, number):
    pair.socket.sends.append(number)
    with pytest.raises(Shortage):
        pair.channel.send(CompareCode(Descriptor(0)))
    pair.channel.send(Ping())
    order, ping = pair.other.receive() + pair.other.receive()
    os.close(order.record)
    assert ping == Ping()


@pytest.mark.parametrize("number", PASSING, ids=errno.errorcode.get)
def test_what_a_shortage_keeps_from_being_received_is_received_later(pair, number):
    pair.other.send(Ready())
    pair.socket.receives.append(number)
    with pytest.raises(Shortage):
        pair.channel.receive()
    assert pair.channel.receive() == [Ready()]


@pytest.mark.parametrize("act", ["send", "receive"])
@pytest.mark.parametrize(
    ("number", "loss"), [*((one, ChannelClosed) for one in CLOSED), *((one, ChannelBroken) for one in BROKEN)]
)
def test_all_other_errors_are_an_end(pair, act, number, loss):
    pair.socket.sends.append(number)
    pair.socket.receives.append(number)
    with pytest.raises(ChannelClosed) as caught:
        pair.channel.send(Serve()) if act == "send" else pair.channel.receive()
    assert type(caught.value) is loss


@pytest.mark.parametrize("number", [*PASSING, errno.EAGAIN], ids=errno.errorcode.get)
def test_a_channel_that_blocks_waits_a_shortage_out(pair, number):
    pair.channel.set_blocking(True)
    pair.socket.sends.extend([number] * 2)
    pair.channel.send(Ready())
    assert pair.other.receive() == [Ready()]
    pair.other.send(Serve())
    pair.socket.receives.extend([number] * 2)
    assert pair.channel.receive() == [Serve()]


def test_a_channel_that_blocks_gives_up_at_last(pair, monkeypatch):
    monkeypatch.setattr(module, "GIVE_UP_AFTER_SECONDS", 0.05)
    pair.channel.set_blocking(True)
    pair.socket.receives = Always([errno.ENOMEM])
    with pytest.raises(ChannelBroken, match="Cannot allocate memory"):
        pair.channel.receive()
