"""The flow of departures over the whole product of its states and inputs: whatever happens in whatever order, nothing
is sent that must not be, nothing is sent twice, and what could not be sent is tried again.

The states are reached by inputs, from the first one on, until no input leads to another state. Then in each of them
every input happens, and every two where no more is in the queue than may be.
"""

from __future__ import annotations

import errno
import itertools

import pytest

from gracehttp.http.connection import Parcel
from gracehttp.net.permits import Transfer
from gracehttp.wire.handover import MOST_CONNECTIONS, MOST_PIPELINED_BYTES, Carried, CarriedTls, decode
from gracehttp.worker import departures
from gracehttp.worker.departures import MESSAGES_PER_TURN, Departures

ROOM, DEAD = 0, errno.EPIPE
QUEUES = (ROOM, errno.EAGAIN, errno.ETOOMANYREFS, DEAD)


class Handle:
    def __init__(self, callback):
        self.callback = callback
        self.cancelled = False

    def cancel(self):
        self.cancelled = True


class Loop:
    """What was asked of the loop and did not happen yet."""

    def __init__(self):
        self.soon = []
        self.later = []
        self.writer = None

    def time(self):
        return 100.0

    def call_soon(self, callback):
        self.soon.append(Handle(callback))
        return self.soon[-1]

    def call_later(self, _seconds, callback):
        self.later.append(Handle(callback))
        return self.later[-1]

    def add_writer(self, fd, callback):
        assert fd >= 0
        self.writer = callback

    def remove_writer(self, fd):
        if fd < 0:
            raise ValueError(f"Invalid file descriptor: {fd}")  # as a selector does
        self.writer = None

    def pending(self):
        return [one for one in self.soon + self.later if not one.cancelled]

    def turn(self):
        self._call(self.soon)

    def time_passes(self):
        self._call(self.later)

    def _call(self, handles):
        due, handles[:] = handles[:], []
        for handle in due:
            if not handle.cancelled:
                handle.callback()


class Queue:
    """The socket into which messages go."""

    def __init__(self, world):
        self.world = world
        self.outcome = ROOM
        self.closed = False
        self.messages = []
        self.untaken = 0  # bytes

    def fileno(self):
        return -1 if self.closed else 7

    def sendmsg(self, buffers, ancillary):
        assert not self.world.held, "nothing goes while no worker would take it"
        assert not self.closed
        assert self.world.in_transfer
        (message,), ((_, _, descriptors),) = buffers, ancillary
        assert len(decode(message)) == len(descriptors) <= MOST_CONNECTIONS
        if len(descriptors) > 1 and self.untaken >= departures.QUEUED_BYTES:
            assert self.world.hurries, "it would wait for too many others"
        if self.outcome != ROOM:
            raise OSError(self.outcome, "as the test wants")
        self.messages.append(list(descriptors))
        self.untaken += len(message)

    def shutdown(self, _how):
        if self.closed:
            raise OSError(errno.EBADF, "closed")
        self.outcome = DEAD

    def close(self):
        self.closed = True


class Connection:
    """Between two requests, or in the middle of one."""

    def __init__(self, world, number, *, busy=False, received=b"", tls=None, idle_since=0.0):
        self.world = world
        self.tls = tls
        self.idle_since = None if busy else idle_since
        self.number = number
        self.busy = busy
        self.received = received
        self.packed = self.gone = False

    def pack(self):
        assert not self.packed
        assert not self.world.in_transfer
        if self.busy or self.gone:
            if self.busy:
                self.world.wanted.discard(self)  # it is offered again when it is not busy any more
            return None
        self.packed = True
        return Parcel(self.number, Carried(fresh=False, idle_seconds=10.0, received=self.received, tls=self.tls))

    def left(self):
        assert self.packed
        assert not self.world.in_transfer
        self.packed, self.gone = False, True

    def unpack(self):
        assert self.packed
        assert not self.world.in_transfer
        self.packed = False
        if self.world.queue.outcome == DEAD:
            self.world.wanted.discard(self)  # it can never go


class World:
    """Departures among fakes, and what a model knows of them: `wanted` are the connections that have to go."""

    def __init__(self, outcome):
        self.loop = Loop()
        self.queue = Queue(self)
        self.queue.outcome = outcome
        self.full = outcome or errno.EAGAIN
        self.departures = Departures(self.queue, self, self.loop)
        self.held = self.closed = self.in_transfer = self.hurries = False
        self.wanted = set()
        self.connections = []
        self.permits = 0
        World.latest = self
        self.departures.begin()

    # --- permits ---

    def transfer(self):
        return Transfer(self._begin_transfer, self._end_transfer)

    def _begin_transfer(self):
        assert not self.in_transfer
        self.in_transfer = True

    def _end_transfer(self, change):
        assert self.in_transfer
        self.in_transfer = False
        self.permits += change

    # --- inputs ---

    def new(self, **options):
        connection = Connection(self, len(self.connections), **options)
        self.connections.append(connection)
        self.permits += 1
        if not self.closed:
            self.wanted.add(connection)
        return connection

    def offer(self):
        self.departures.offer(self.new())

    def offer_busy(self):
        self.departures.offer(self.new(busy=True))

    def offer_again(self):
        """One that waits already becomes idle, after it has answered a request meanwhile."""
        if waiting := [one for one in self.connections if one in self.wanted and not one.gone]:
            self.departures.offer(waiting[0])

    def offer_soon(self):
        self.departures.offer_soon([self.new(), self.new(busy=True)])

    def offer_active(self):
        self.departures.offer_soon([self.new(idle_since=self.loop.time())])

    def taken(self):
        """Another worker takes all that is in the queue."""
        self.queue.untaken = 0

    def hurry(self):
        self.hurries = True
        self.departures.hurry()

    def hold(self):
        self.held = True
        self.departures.hold()

    def resume(self):
        self.held = False
        self.departures.resume()

    def withdraw(self):
        self.wanted.clear()
        self.departures.withdraw()

    def seal(self):
        self.departures.seal()

    def close(self):
        self.closed = True
        self.wanted.clear()
        self.departures.close()

    def queue_changes(self):
        """From full to empty, and back; one that is dead stays so."""
        if self.queue.outcome != DEAD:
            self.queue.outcome = self.full if self.queue.outcome == ROOM else ROOM

    def writable(self):
        if self.loop.writer is not None:
            self.loop.writer()

    def turn(self):
        self.loop.turn()

    def time_passes(self):
        self.loop.time_passes()

    # --- what holds at any time ---

    def check(self):
        gone = [one for one in self.connections if one.gone]
        sent = sorted(number for message in self.queue.messages for number in message)
        assert sent == [one.number for one in gone], "each that went was sent once, and no other"
        assert not any(one.packed for one in self.connections), "each that was packed has left or goes on here"
        assert self.permits == len(self.connections) - len(gone), "the permit of each goes with it"
        assert len(self.loop.pending()) <= 2  # to send, and to await no longer
        assert not self.departures._awaited or self.departures._awaiting in self.loop.pending()
        if self.held or self.closed:
            assert not self.loop.pending()
            assert self.loop.writer is None
        if self.closed:
            assert self.queue.closed

    def state(self):
        one, loop = self.departures, self.loop
        wanted = any(not one.gone for one in self.wanted)
        flow = (one._held, one._closed, one._full, bool(one._waiting), bool(one._awaited), wanted, self.queue.outcome)
        crowd = (self.hurries, not self.hurries and self.queue.untaken >= departures.QUEUED_BYTES)
        pending = {handle in loop.soon for handle in loop.pending() if handle is not one._awaiting}
        return (*flow, *crowd, frozenset(pending), loop.writer is not None)


def inputs():
    offers = ["offer", "offer_busy", "offer_again", "offer_soon", "offer_active"]
    orders = ["hold", "resume", "withdraw", "seal", "close", "hurry"]
    outside = ["queue_changes", "taken", "writable", "turn", "time_passes"]
    return [getattr(World, name) for name in [*offers, *orders, *outside]]


def played(outcome, sequence):
    world = World(outcome)
    for happens in sequence:
        happens(world)
        world.check()
    return world


def ways_to_all_states(outcome):
    """A shortest sequence of inputs to each state that there is, when the queue begins as `outcome`."""
    ways = {played(outcome, ()).state(): ()}
    new = list(ways.values())
    while new:
        tried = [(*way, happens) for way in new for happens in inputs()]
        new = []
        for way in tried:
            state = played(outcome, way).state()
            if state not in ways:
                ways[state] = way
                new.append(way)
    return list(ways.values())


def worlds(outcome):
    """Each state, after any input, or any two."""
    of_crowds = {World.taken, World.hurry}
    for way in ways_to_all_states(outcome):
        for more in itertools.product(inputs(), repeat=2 if of_crowds.isdisjoint(way) else 1):
            yield played(outcome, (*way, *more)), [happens.__name__ for happens in (*way, *more)]


def run_out(world):
    """Time passes, until nothing is left to happen."""
    for _ in range(6):
        world.taken()
        world.turn()
        world.time_passes()
        world.check()


@pytest.fixture(autouse=True)
def what_waits_in_the_queue(monkeypatch):
    monkeypatch.setattr(departures, "unsent_bytes", lambda _fd: World.latest.queue.untaken)


@pytest.fixture
def small_queue(monkeypatch):
    """One message is as much as may be in the queue."""
    monkeypatch.setattr(departures, "QUEUED_BYTES", 1)


@pytest.mark.parametrize("outcome", QUEUES, ids=lambda number: errno.errorcode.get(number, "room"))
@pytest.mark.usefixtures("small_queue")
def test_whatever_happens_nothing_is_sent_that_must_not_be_and_nothing_is_forgotten(outcome):
    for world, sequence in worlds(outcome):
        if world.queue.outcome != DEAD:
            world.queue.outcome = ROOM
        if world.held:
            gone = sum(one.gone for one in world.connections)
            run_out(world)
            assert sum(one.gone for one in world.connections) == gone, sequence
            world.resume()
        run_out(world)
        assert all(one.gone for one in world.wanted), sequence
        assert not world.loop.pending(), sequence
        assert world.loop.writer is None, sequence


@pytest.mark.parametrize("outcome", [errno.EAGAIN, errno.ETOOMANYREFS])
@pytest.mark.usefixtures("small_queue")
def test_while_there_is_no_room_it_is_tried_again_and_again(outcome):
    for world, sequence in worlds(outcome):
        if world.queue.outcome == outcome and not world.held:
            run_out(world)
            waiting = any(not one.gone for one in world.wanted)
            assert bool(world.loop.pending()) == waiting, sequence
            assert not world.departures._awaited, sequence
            assert (world.loop.writer is not None) == (waiting and outcome == errno.EAGAIN), sequence


def world_of(count, **options):
    world = World(ROOM)
    connections = [world.new(**options) for _ in range(count)]
    world.departures.offer_soon(connections)
    return world, connections


@pytest.mark.parametrize("outcome", [ROOM, errno.EAGAIN, errno.ETOOMANYREFS])
def test_connections_go_in_the_order_in_which_they_were_offered(outcome):
    world, _ = world_of(100)
    world.turn()
    world.queue.outcome = outcome
    for _ in range(3):
        world.turn()
        world.time_passes()
    world.queue.outcome = ROOM
    run_out(world)
    assert [number for message in world.queue.messages for number in message] == list(range(100))


def test_a_turn_sends_a_bounded_number_so_that_requests_are_answered_in_between():
    world, connections = world_of(100)
    world.turn()
    assert sum(one.gone for one in connections) == MESSAGES_PER_TURN * MOST_CONNECTIONS
    world.turn()
    assert sum(one.gone for one in connections) == 2 * MESSAGES_PER_TURN * MOST_CONNECTIONS


def test_a_client_that_was_active_is_awaited_for_its_next_request_and_not_longer():
    world = World(ROOM)
    active = [world.new(idle_since=world.loop.time()) for _ in range(2)]
    world.departures.offer_soon(active)
    world.turn()
    assert not any(one.gone for one in active)
    world.departures.offer(active[0])
    assert [one.gone for one in active] == [True, False]
    world.time_passes()
    world.turn()
    assert active[1].gone
    assert not world.loop.pending()


def test_a_worker_that_ends_soon_awaits_no_client():
    world = World(ROOM)
    active, later = [world.new(idle_since=world.loop.time()) for _ in range(2)]
    world.departures.offer_soon([active])
    world.departures.hurry()
    assert active.gone
    world.departures.offer_soon([later])
    world.turn()
    assert later.gone


def test_a_message_ends_before_the_connection_that_has_no_room_in_it():
    world, _ = world_of(5, received=bytes(MOST_PIPELINED_BYTES // 2 - 1))
    run_out(world)
    assert world.queue.messages == [[0, 1], [2, 3], [4]]


def test_a_connection_whose_client_is_too_far_ahead_holds_up_no_other_one_and_stays():
    world = World(ROOM)
    sizes = (0, MOST_PIPELINED_BYTES, MOST_PIPELINED_BYTES + 1, 1)
    connections = [world.new(received=bytes(size)) for size in sizes]
    world.departures.offer_soon(connections)
    run_out(world)
    assert [one.gone for one in connections] == [True, True, False, True]
    assert not world.loop.pending()


@pytest.mark.parametrize("outcome", QUEUES)
@pytest.mark.parametrize("size", [0, MOST_PIPELINED_BYTES + 1], ids=["small", "too far ahead"])
def test_no_secret_is_left_in_what_was_packed(outcome, size):
    world = World(ROOM)
    world.queue.outcome = outcome
    tls = CarriedTls("TLS_AES_128_GCM_SHA256", bytearray(b"r" * 32), 0, bytearray(b"w" * 32), 0)
    world.departures.offer_soon([world.new(received=bytes(size), tls=tls)])
    world.turn()
    assert tls.read_secret == tls.write_secret == bytes(32)


def test_when_a_message_finds_no_room_all_its_connections_go_on_here_and_are_tried_again():
    world, connections = world_of(20)
    world.queue.outcome = errno.EAGAIN
    world.turn()
    assert not any(one.gone for one in connections)
    assert list(world.departures._waiting) == connections
    world.check()
