"""The channel: whole messages with their descriptors, whatever the kernel makes of the stream."""

from __future__ import annotations

import os
import socket
import tempfile

import pytest

from gracehttp.values import Descriptor
from gracehttp.wire.channel import Channel, ChannelClosed, ChannelRecord, UnreadableMessage, channel_pair
from gracehttp.wire.messages import Alive, CompareCode, Failed, Fork, Ping, Ready, Serve, Shed, StageBegan


@pytest.fixture
def pair():
    ours, theirs = channel_pair()
    other = Channel(theirs)
    yield ours, other
    ours.close()
    other.close()


def test_messages_arrive_in_order(pair):
    ours, theirs = pair
    for number in range(3):
        ours.send(Shed(1, number))
    assert [message.connections for message in theirs.receive()] == [0, 1, 2]


def test_descriptors_arrive_with_their_messages(pair):
    ours, theirs = pair
    read_end, write_end = os.pipe()
    ours.send(Ping())
    ours.send(Fork(1, channel=Descriptor(read_end), stderr=Descriptor(write_end)))
    ours.send(Ping())
    received = []
    while len(received) < 3:
        received += theirs.receive()
    assert [type(message) for message in received] == [Ping, Fork, Ping]
    fds = received[1].channel, received[1].stderr
    os.write(fds[1], b"x")
    assert os.read(read_end, 1) == b"x"
    assert not any(os.get_inheritable(fd) for fd in fds)
    for fd in (*fds, read_end, write_end):
        os.close(fd)


@pytest.mark.usefixtures("undisturbed")
def test_descriptors_that_find_no_room_end_the_channel():
    raw, end = socket.socketpair()
    channel = Channel(end)
    with raw, open(os.devnull) as file:
        before = len(os.listdir("/proc/self/fd"))
        socket.send_fds(raw, [b'{"type": "x", "descriptors": 20}\n'], [file.fileno()] * 20)
        with pytest.raises(ChannelClosed, match="descriptors were lost"):
            channel.receive()
        channel.close()
        assert len(os.listdir("/proc/self/fd")) == before - 1, "those that found room are closed"


def test_a_message_in_pieces_is_put_together():
    raw, end = socket.socketpair()
    channel = Channel(end)
    for piece in (b'{"type":', b'"rea', b'dy"}\n{"type":"x'):
        raw.send(piece)
        last = channel.receive()
    assert last == [Ready()]
    raw.close()
    channel.close()


def test_the_end_of_file_is_told(pair):
    ours, theirs = pair
    ours.close()
    with pytest.raises(ChannelClosed):
        theirs.receive()


def test_sending_to_the_dead_is_told(pair):
    ours, theirs = pair
    theirs.close()
    with pytest.raises(ChannelClosed):
        ours.send(Ping())


def test_what_the_kernel_does_not_take_is_kept_and_sent_later(pair):
    ours, theirs = pair
    count = 0
    while not ours.pending:
        ours.send(Failed("x" * 5000, hint="", details=str(count)))
        count += 1
    received = []
    theirs.set_blocking(False)
    while len(received) < count:
        received += theirs.receive()
        ours.flush()
    assert [message.details for message in received] == list(map(str, range(count)))


@pytest.mark.usefixtures("undisturbed")
def test_descriptors_that_nobody_took_are_closed_with_the_channel():
    before = set(os.listdir("/proc/self/fd"))
    ours, sock = channel_pair()
    theirs = Channel(sock)
    read_end, write_end = os.pipe()
    ours.send(Fork(1, channel=Descriptor(read_end), stderr=Descriptor(write_end)))
    theirs._read()
    os.close(read_end)
    os.close(write_end)
    ours.close()
    theirs.close()
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_channel_goes_on_between_two_bytes_of_its_messages():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    before, worker = Channel(ours), Channel(theirs)
    theirs.sendall(b'{"type":"re')
    assert before.receive() == []
    record = before.carry()
    after = Channel.adopt(ChannelRecord(socket=Descriptor(os.dup(record.socket)), incoming=record.incoming))
    before.close()
    theirs.sendall(b'ady"}\n')
    assert after.receive() == [Ready()]
    after.send(Serve())
    assert worker.receive() == [Serve()]
    after.close()
    worker.close()


def test_what_a_channel_could_not_send_yet_is_sent_after_it_was_carried():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    before, worker = Channel(ours), Channel(theirs)
    with tempfile.TemporaryFile() as file:
        while not before.pending:
            before.send(StageBegan("x" * 10_000))
        before.send(CompareCode(Descriptor(file.fileno())))
        record = before.carry()
        after = Channel.adopt(
            ChannelRecord(socket=Descriptor(os.dup(record.socket)), incoming=b"", outgoing=record.outgoing)
        )
        before.close()
        received = []
        while not received or not isinstance(received[-1], CompareCode):
            received += worker.receive()
            after.flush()
        fd = received[-1].record
        assert os.path.samestat(os.fstat(fd), os.fstat(file.fileno()))
        os.close(fd)
    assert not after.pending
    after.close()
    worker.close()


@pytest.mark.usefixtures("undisturbed")
def test_an_unknown_message_is_passed_over_and_its_descriptors_are_closed():
    raw, end = socket.socketpair()
    channel = Channel(end)
    with raw, open(os.devnull) as file:
        before = set(os.listdir("/proc/self/fd"))
        socket.send_fds(raw, [b'{"type":"of_a_later_release","descriptors":1}\n{"type":"alive"}\n'], [file.fileno()])
        assert channel.receive() == [Alive()]
        assert set(os.listdir("/proc/self/fd")) == before
    channel.close()


@pytest.mark.usefixtures("undisturbed")
def test_the_descriptors_of_a_field_that_is_not_known_are_closed():
    raw, end = socket.socketpair()
    channel = Channel(end)
    with raw, open(os.devnull) as file:
        before = set(os.listdir("/proc/self/fd"))
        socket.send_fds(raw, [b'{"type":"ready","added":0,"descriptors":1}\n'], [file.fileno()])
        assert channel.receive() == [Ready()]
        assert set(os.listdir("/proc/self/fd")) == before
    channel.close()


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b'{"type":"fork","worker":1,"channel":0,"stderr":0,"descriptors":1}',
        b'{"type":"ready","descriptors":9}',
    ],
)
def test_no_descriptor_is_left_open_by_a_message_that_can_not_be_read(line):
    raw, end = socket.socketpair()
    channel = Channel(end)
    with raw, open(os.devnull) as file:
        before = set(os.listdir("/proc/self/fd"))
        good = b'{"type":"code_recorded","record":0,"descriptors":1}\n'
        socket.send_fds(raw, [good + line + b"\n"], [file.fileno()] * 2)
        with pytest.raises(UnreadableMessage):
            channel.receive()
        channel.close()
        assert len(os.listdir("/proc/self/fd")) == len(before) - 1, "the channel's own"
