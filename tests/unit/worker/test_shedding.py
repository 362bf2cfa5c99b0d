"""Making room on a full port: which connections are closed, and how often that is reported."""

from __future__ import annotations

from timer_fakes import FakeLoop

from gracehttp.net.idle_ranking import LocalRanking, SharedRanking
from gracehttp.worker.shedding import REMEMBERED, REPORT_EVERY_SECONDS, SEARCH_EVERY_SECONDS, Shedder


class FakeConnection:
    """`refuses`: the kernel holds something that the client has sent."""

    def __init__(self, idle_since, *, refuses=False):
        self.idle_since = idle_since
        self.refuses = refuses
        self.closed = False

    def close_idle(self, *, linger):
        assert not linger
        assert not self.closed
        if not self.refuses:
            self.closed, self.idle_since = True, None
        return self.closed


class Port:
    def __init__(self, *connections, idle_after=5.0, ranking=None):
        self.loop = FakeLoop()
        self.connections = list(connections)
        self.told = []
        self.searches = []
        self.shedder = Shedder(
            self.connections,
            self.longest_idle,
            idle_after_seconds=idle_after,
            ranking=ranking or LocalRanking(),
            loop=self.loop,
            closed=lambda count: count,
            publish=self.told.append,
        )

    def longest_idle(self, most):
        self.searches.append(most)
        idle = [(one.idle_since, one) for one in self.connections if one.idle_since is not None]
        return sorted(idle, key=lambda found: found[0])[:most]

    def make_room(self, *, later=0.0, waiting=None):
        """For one connection more, unless `waiting` says how many wait. Returns which were closed so far."""
        self.loop.pass_time(later)
        self.shedder.make_room(waiting or len(self.closed) + 1)
        return self.closed

    @property
    def closed(self):
        return [index for index, one in enumerate(self.connections) if one.closed]


def test_the_one_that_has_been_idle_longest_goes_and_only_that():
    port = Port(FakeConnection(50), FakeConnection(20), FakeConnection(None), FakeConnection(90))
    assert port.make_room() == [1]
    assert port.make_room() == [0, 1]


def test_none_is_closed_that_has_not_been_idle_for_long_enough():
    port = Port(FakeConnection(95.5), FakeConnection(None))
    assert port.make_room() == []
    assert port.make_room(later=0.4) == []
    assert port.make_room(later=0.1) == [0]


def shared_page():
    return memoryview(bytearray(8 * 8)).cast("Q")


def test_the_one_that_has_been_idle_longest_goes_whichever_worker_has_it():
    page = shared_page()
    ours = Port(FakeConnection(50), FakeConnection(20), ranking=SharedRanking(page, 3))
    others = Port(FakeConnection(30), FakeConnection(60), ranking=SharedRanking(page, 5))
    gone = [(ours.make_room(later=0.1), others.make_room(later=0.1)) for _ in range(4)]
    assert gone == [([], []), ([1], []), ([1], [0]), ([1], [0])]
    assert (ours.make_room(later=0.1), others.make_room(later=0.1)) == ([0, 1], [0])


def test_as_many_go_at_once_as_wait_and_no_younger_ones_than_those_of_others():
    page = shared_page()
    ours = Port(*map(FakeConnection, (10, 20, 30, 40, 60)), ranking=SharedRanking(page, 3))
    others = Port(FakeConnection(50), ranking=SharedRanking(page, 5))
    for port in (ours, others):
        port.make_room(later=0.1, waiting=2)
    assert ours.make_room(later=0.1, waiting=2) == [0, 1]
    assert others.make_room(later=0.1, waiting=2) == [], "these places are not taken yet"
    del ours.connections[:2]
    assert ours.make_room(later=0.1, waiting=9) == [0, 1]
    assert others.make_room(later=0.1, waiting=9) == []
    assert ours.make_room(later=0.1, waiting=9) == [0, 1]
    assert others.make_room(later=0.1, waiting=9) == [0]


def test_a_worker_without_idle_connections_does_not_hold_up_others():
    page = shared_page()
    ours = Port(FakeConnection(50), ranking=SharedRanking(page, 3))
    others = Port(FakeConnection(20), FakeConnection(None), ranking=SharedRanking(page, 5))
    for port in (ours, others):
        port.make_room(later=0.1)
    assert (ours.make_room(later=0.1), others.make_room(later=0.1)) == ([], [0])
    assert (ours.make_room(later=0.1), others.make_room(later=0.1)) == ([], [0])
    assert ours.make_room(later=0.1) == [0]


def test_one_that_has_been_idle_longest_but_not_long_enough_yet_keeps_its_turn():
    page = shared_page()
    ours = Port(FakeConnection(95.5), ranking=SharedRanking(page, 3))
    others = Port(FakeConnection(95.6), ranking=SharedRanking(page, 5))
    for later in (0.1, 0.1, 0.1, 0.1):
        assert (ours.make_room(later=later), others.make_room(later=later)) == ([], [])
    assert (ours.make_room(later=0.11), others.make_room(later=0.11)) == ([0], [])


def test_one_whose_client_has_just_sent_something_stays_and_the_next_one_goes():
    port = Port(FakeConnection(20, refuses=True), FakeConnection(30))
    assert port.make_room() == [1]


def test_one_whose_client_has_sent_something_since_the_search_stays():
    port = Port(FakeConnection(20), FakeConnection(30), FakeConnection(40))
    port.make_room()
    port.connections[1].idle_since = 99.9
    assert port.make_room() == [0, 2]


def test_one_that_is_gone_meanwhile_is_passed_over():
    port = Port(FakeConnection(20), FakeConnection(30), FakeConnection(40))
    port.make_room()
    port.connections[1].idle_since = None
    assert port.make_room() == [0, 2]


def test_the_longest_idle_are_searched_for_at_most_once_a_second():
    port = Port(FakeConnection(None))
    for _ in range(5):
        port.make_room()
    assert port.searches == [REMEMBERED]
    port.make_room(later=SEARCH_EVERY_SECONDS)
    assert port.searches == [REMEMBERED] * 2


def test_more_than_are_remembered_go_one_search_after_the_other():
    port = Port(*map(FakeConnection, range(REMEMBERED + 3)))
    assert port.make_room(waiting=REMEMBERED + 3) == list(range(REMEMBERED))
    port.make_room(later=SEARCH_EVERY_SECONDS, waiting=REMEMBERED + 3)
    assert port.closed == list(range(REMEMBERED + 3))


def test_it_is_told_at_once_and_then_at_most_once_a_second():
    port = Port(*[FakeConnection(20 + number) for number in range(10)])
    for _ in range(4):
        port.make_room()
    assert port.told == [1]
    port.loop.pass_time(REPORT_EVERY_SECONDS)
    assert port.told == [1, 3]
    port.loop.pass_time(REPORT_EVERY_SECONDS)
    port.make_room()
    assert port.told == [1, 3, 1]


def test_what_was_not_told_yet_is_told_at_the_end():
    port = Port(FakeConnection(20), FakeConnection(21))
    port.make_room()
    port.make_room()
    port.shedder.close()
    port.loop.pass_time(10)
    assert port.told == [1, 1]


def test_no_more_are_closed_than_wait_while_their_places_are_not_free_yet():
    port = Port(FakeConnection(20), FakeConnection(30), FakeConnection(40), FakeConnection(50))
    slow = port.connections[:2]
    for _ in range(3):
        assert port.make_room(waiting=1) == [0]
    assert port.make_room(waiting=2) == port.make_room(waiting=2) == [0, 1]
    for one in slow:
        port.connections.remove(one)
    assert port.make_room(waiting=1) == [0], "of those that are left: another connection waits now"
