"""What a part of the supervisor knows is what it carries: a field that is added to one is added to the other."""

from __future__ import annotations

import asyncio
import os
import socket

from value_copies import changed

from gracehttp.net.address import parse_address
from gracehttp.net.permits import PermitPool
from gracehttp.supervisor.listeners.held_listener import HeldListener, ListenerRecord
from gracehttp.supervisor.processes.process import EarlyStderr, WorkerProcess, WorkerRecord
from gracehttp.values import Descriptor, descriptors_in, from_plain, to_plain
from gracehttp.wire.channel import Channel
from gracehttp.wire.messages import Failed, ListenRequest


def names(kind):
    return set(kind.__match_args__)


def test_a_listener_carries_all_that_it_knows():
    assert names(ListenerRecord) == names(HeldListener) - {"open"}  # one that is closed is not held any more


def test_a_listener_whose_door_is_closed_is_the_same_in_the_next_image():
    sock = socket.create_server(("127.0.0.1", 0))
    request = ListenRequest(address="127.0.0.1:0", backlog=5, max_connections=7)
    before = HeldListener(3, parse_address("127.0.0.1:0"), sock, PermitPool(7), 7, None, {1: request})
    before.stop_admitting()
    record = before.carry()
    copies = {fd: Descriptor(os.dup(fd)) for fd in descriptors_in(record)}
    pool = {name: copies[getattr(record.pool, name)] for name in ("free", "owed", "ledger")}
    record = changed(record, socket=copies[record.socket], pool=changed(record.pool, **pool))
    after = HeldListener.adopt(from_plain(ListenerRecord, to_plain(record)))
    assert (after.number, after.bound, after.limit, after.wishes) == (3, before.bound, 7, {1: request})
    assert not after.admitting
    before.close()
    after.close()


_OF_STARTS = {"_early_signals", "offers_spare", "is_of_spare"}
"""No signal is left once it has started, and the next image of the supervisor restarts."""


def test_a_worker_carries_all_that_is_known_of_it():
    async def run():
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        process = WorkerProcess(
            1, 2, 3, pid=4, started_at=5.0, channel=Channel(ours), early_stderr=EarlyStderr(loop, None, 2)
        )
        process.failure, process.stopped_accepting = Failed("no", "", ""), True
        record = process.carry()
        assert names(WorkerRecord) == vars(process).keys() - _OF_STARTS
        copy = changed(record, channel=changed(record.channel, socket=Descriptor(os.dup(record.channel.socket))))
        after = WorkerProcess.adopt(from_plain(WorkerRecord, to_plain(copy)), 2)
        known = {name: value for name, value in vars(process).items() if name not in {"channel", "early_stderr"}}
        assert {name: vars(after)[name] for name in known} == known
        process.channel.close()
        after.channel.close()
        theirs.close()

    asyncio.run(run())
