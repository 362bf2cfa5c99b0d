"""Streams in histories that nobody has thought of: what each was told to do, and what it owes for that.

A history is a list of steps, each with what streams do in it (`ACTS`), or their clients. `play` plays it, lets all
clients read to the end, and tells what was owed and not given.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import ssl
from collections import deque
from itertools import pairwise

from client_ends import ISSUED, PlainEnd, TlsEnd

from gracehttp.net.deadlines import Deadlines
from gracehttp.net.file_part import FilePart
from gracehttp.net.poller import BYTES_PER_TURN
from gracehttp.net.stream import HIGH_WATER_BYTES, PlainStream
from gracehttp.net.tls13.key_log import KeyLog
from gracehttp.net.tls13.session import ContinuedSession
from gracehttp.net.tls13.witness import Witness
from gracehttp.net.tls_stream import TlsStream

KINDS = ["plain", "TLS 1.2", "TLS 1.3", "TLS 1.3 that goes on"]
QUIET_PASSES = 6
"""So many passes of the loop without a byte, and nothing waits for a turn of it any more."""
MOST_PASSES = 20_000
NOISE = random.Random(1).randbytes(1 << 20)


class Certificates:
    """The contexts of servers, one for each kind that speaks TLS."""

    def __init__(self):
        self.key_log = KeyLog()
        self._contexts = {}

    def context(self, kind):
        if kind not in self._contexts:
            context = self._contexts[kind] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.maximum_version = ssl.TLSVersion.TLSv1_2 if kind == "TLS 1.2" else ssl.TLSVersion.TLSv1_3
            ISSUED.configure_cert(context)
            if kind == "TLS 1.3 that goes on":
                self.key_log.attach(context)
        return self._contexts[kind]


class Party:
    """A stream with its client, and the consumer and owner of it, which notes what the stream owes."""

    def __init__(self, world, name):
        self._world = world
        self._name = name
        self.stream = None
        self.client = None
        self.socket = None
        """The server's, if it can fail."""
        self.todo = []
        """What it does when its client speaks next."""
        self.faults = []
        self._backlog = deque()
        self._written = bytearray()
        self.may_be_cut = False
        """What was written may be lost."""
        self.failed = bool
        """Tells whether the system has failed it, of which it must die."""
        self._waits = False  # it saw that it must not write, and was not told otherwise
        self._wrote = False  # since it was told
        self.rooms = self._ends = self._closes = 0

    def _blame(self, fault):
        self.faults.append(f"{self._name}: {fault}")

    # --- the consumer and the owner ---

    def received(self, data):
        if self._closes:
            self._blame("received after the close")
        todo, self.todo = self.todo, []
        self.act(todo)

    def ended(self):
        self._ends += 1

    def ended_unread(self):
        if self._ends:
            self._blame("ended_unread after ended")

    def writable_again(self):
        if self._closes:
            self._blame("writable_again after the close")
        if not self._wrote:
            self._blame("writable_again, and nothing was written since the last time")
        if not self.stream.writable or self.stream.unsent_bytes:
            self._blame(f"writable_again: {self.stream.writable=}, {self.stream.unsent_bytes=}")
        self.rooms += 1
        self._waits = self._wrote = False
        self._pump()

    def stream_closed(self):
        self._closes += 1

    # --- what it does ---

    def act(self, acts):
        for name, *how in acts:
            if not self.stream.closed:
                getattr(self, f"_{name}")(*how)
                self._look()

    def _look(self):
        stream = self.stream
        if stream.closed or stream.shut:
            return
        if not stream.writable:
            self._waits = True
        if stream.unsent_bytes > HIGH_WATER_BYTES and stream.writable:
            self._blame(f"writable with {stream.unsent_bytes} bytes that wait")

    def _note(self, data):
        if not self.stream.shut:
            self._written += data
            self._wrote = True
        return data

    def _write(self, size, kind=bytes):
        self.stream.write(kind(self._note(self._world.noise(size))))

    def _pieces(self, *sizes):
        self.stream.write_pieces([self._note(self._world.noise(size)) for size in sizes])

    def _file(self, size):
        if not self.stream.takes_files:
            self._write(size)
            return
        part = FilePart(os.memfd_create("part"), 0, size)
        data = self._note(self._world.noise(size))
        os.pwrite(part._descriptor, data, 0)
        self.stream.write_file(part)

    def _flush(self):
        self.stream.flush()

    def _pause(self):
        self.stream.pause_reading()

    def _resume(self):
        self.stream.resume_reading()

    def _close(self, linger):
        self._backlog.clear()
        self.stream.close(linger=linger)

    def _abort(self):
        self.may_be_cut = True
        self.stream.abort()

    def _reset(self):
        self.may_be_cut = True
        self.stream.reset()

    def _response(self, size, piece):
        """As an application that writes pieces as long as it may, and goes on when it is told."""
        self._backlog.extend(size for begin, end in pairwise([*range(0, size, piece), size]) if (size := end - begin))
        self._pump()

    def _pump(self):
        while self._backlog and self.stream.writable and not self.stream.shut:
            self._write(self._backlog.popleft())
            self._look()

    # --- its client ---

    def client_does(self, what, *how):
        if what == "leave":
            self.may_be_cut = True
        if not self.client.over or what != "leave":
            getattr(self.client, what)(*how)

    # --- the end ---

    def settle(self):
        """Nothing more is written, but what was begun. Notes whether something waits for the kernel."""
        if not self.stream.closed:
            if not self.stream.shut:
                self.stream.resume_reading()
            self.stream.flush()

    @property
    def owes_room(self):
        """Whether something waits, now that nothing is held, so that it must be told when it doesn't."""
        return not self.stream.shut and self.stream.unsent_bytes > 0

    def judge(self):
        """Its client has read all that it will ever get."""
        stream, got = self.stream, bytes(self.client.data)
        if self.failed():
            self.may_be_cut = True
            if not stream.closed:
                self._blame("it goes on after a failure")
        if self.may_be_cut:
            if not self._written.startswith(got):
                self._blame("the client has got other bytes than were written")
        elif got != self._written:
            whole = "the beginning" if self._written.startswith(got) else "other bytes"
            self._blame(f"the client has got {len(got)} bytes of {len(self._written)}, {whole}")
        if stream.unsent_bytes and not self.may_be_cut:
            self._blame(f"{stream.unsent_bytes} bytes wait for ever")
        if not (stream.shut or self.may_be_cut):
            if self._waits or not stream.writable:
                self._blame(f"it waits for room for ever: {stream.writable=}")
            if self._backlog:
                self._blame(f"{len(self._backlog)} pieces were never written")
        if self._ends > 1:
            self._blame(f"ended was told {self._ends} times")

    def bury(self):
        self.client.leave()

    def conclude(self):
        if not self.stream.closed:
            self.stream.abort()
        if self._closes != 1:
            self._blame(f"closed was told {self._closes} times")
        if self.stream.unsent_bytes:
            self._blame(f"{self.stream.unsent_bytes} bytes wait after the close")


class World:
    """Streams of one kind on one poller."""

    def __init__(self, floor, kind, certificates):
        self.floor = floor
        self._kind = kind
        self._certificates = certificates
        self._at = 0
        self.parties = []
        self._handshakes = Deadlines(10.0, floor.clock)
        self.raised = []
        floor.loop.set_exception_handler(lambda loop, context: self.raised.append(repr(context.get("exception"))))

    def noise(self, size):
        """`size` bytes, each time others."""
        self._at = (self._at + 65537) % (len(NOISE) - size)
        return NOISE[self._at : self._at + size]

    async def open(self, *, room, failing=None):
        """One stream more. The kernel has about `room` bytes for its client. `failing`: a class of sockets."""
        theirs, ours = socket.socketpair()
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
        party = Party(self, f"stream {len(self.parties)}")
        if failing is not None:
            ours = party.socket = failing.of(ours)
        self.parties.append(party)
        stream = PlainStream(ours, self.floor.services, party, party)
        if self._kind == "plain":
            party.client = PlainEnd(self.floor.own(theirs))
        else:
            party.client = TlsEnd(self.floor.own(theirs))
            stream = await self._secure(party, stream)
        party.stream = stream
        return party

    async def _secure(self, party, plain):
        goes_on = self._kind == "TLS 1.3 that goes on"
        stream = TlsStream(
            plain,
            self._certificates.context(self._kind),
            party,
            handshakes=self._handshakes,
            witness=Witness(self._certificates.key_log) if goes_on else None,
        )
        while not (party.client.shake_hands() and stream.opened):
            await asyncio.sleep(0)
        if not goes_on:
            return stream
        state = None
        while state is None:  # the tickets are on their way
            plain.flush()
            state = stream.state()
            await asyncio.sleep(0)
        stream.stay()
        plain.consumer = plain.owner = party
        return TlsStream(plain, None, party, session=ContinuedSession(state))

    async def step(self, what, *how):
        if what == "pass":
            await passes(how[0])
        elif what == "client":
            number, *does = how
            self.parties[number % len(self.parties)].client_does(*does)
        else:
            await self._act(together=what == "turn", acts=how[0])

    async def _act(self, *, together, acts):
        """`together`: in one turn of the poller, as far as they hear of their clients."""
        acting = [(self.parties[number], todo) for number, todo in enumerate(acts[: len(self.parties)]) if todo]
        if together:
            for party, todo in acting:
                party.todo = todo
                party.client.say(b"?")
            await passes(3)
        for party, todo in acting:
            if not together or party.todo:
                party.todo = []
                party.act(todo)

    async def settle(self):
        """Let all clients read to the end."""
        parties = self.parties
        for party in parties:
            party.settle()
        await passes(2)
        for party in parties:
            party.settle()
        owing = [party for party in parties if party.owes_room]
        rooms = [party.rooms for party in parties]
        quiet = 0
        for _ in range(MOST_PASSES):
            came = [party.client.look() for party in parties]  # all of them in one pass, so that one turn has them all
            quiet = 0 if any(came) else quiet + 1
            if quiet == QUIET_PASSES:
                break
            await asyncio.sleep(0)
        for party, before in zip(parties, rooms, strict=True):
            if (party in owing) != (party.rooms > before) and not party.stream.shut:
                party.faults.append(f"{party in owing=}, and room was told {party.rooms - before} times")
            party.judge()

    async def end(self):
        floor = self.floor
        for party in self.parties:
            party.bury()
        await passes(4)
        for party in self.parties:
            party.conclude()
        await passes(2)  # those that stood in a line
        poller, services = floor.poller, floor.services
        left = {
            "held": list(poller.held),
            "short line": list(poller._brief),
            "long line": list(poller._long),
            "descriptors": list(poller.descriptors),
            "stall": len(services.stall),
            "linger": len(services.linger),
            "handshakes": len(self._handshakes),
            "failures": floor.failures,
            "raised": self.raised,
            "credit": poller.credit > BYTES_PER_TURN,
        }
        self._handshakes.close()
        faults = [f"left: {name}: {what}" for name, what in left.items() if what]
        for party in self.parties:
            faults += party.faults
            party.stream = party.client = party.socket = party._world = None  # no circle is left
        floor.loop.set_exception_handler(None)
        return faults


async def passes(count):
    for _ in range(count):
        await asyncio.sleep(0)


async def play(floor, kind, certificates, rooms, history):
    """Play `history` with a stream for each of `rooms`; returns what went wrong."""
    world = World(floor, kind, certificates)
    for room in rooms:
        await world.open(room=room)
    for step in history:
        await world.step(*step)
    await world.settle()
    return await world.end()
