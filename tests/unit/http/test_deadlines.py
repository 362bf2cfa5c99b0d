from http_fakes import FakeLoop

from gracehttp.http.deadline import Deadline


def make() -> tuple[FakeLoop, Deadline, list[float]]:
    loop, reached = FakeLoop(), []
    return loop, Deadline(loop, lambda: reached.append(loop.now)), reached  # type: ignore[arg-type]  # a fake


def test_deadline_is_reached_once_at_its_time():
    loop, deadline, reached = make()
    deadline.move(1010.0)
    loop.pass_time(100.0)
    assert reached == [1010.0]


def test_deadline_moved_later_is_reached_at_the_later_time():
    loop, deadline, reached = make()
    deadline.move(1010.0)
    deadline.move(1030.0)
    loop.pass_time(100.0)
    assert reached == [1030.0]


def test_deadline_moved_earlier_is_reached_at_the_earlier_time():
    loop, deadline, reached = make()
    deadline.move(1030.0)
    deadline.move(1010.0)
    loop.pass_time(100.0)
    assert reached == [1010.0]


def test_cleared_deadline_is_not_reached():
    loop, deadline, reached = make()
    deadline.move(1010.0)
    deadline.when = 0.0
    loop.pass_time(100.0)
    assert not reached


def test_deadline_can_be_set_again_after_it_was_cleared_and_its_timer_ran_out():
    loop, deadline, reached = make()
    deadline.move(1010.0)
    deadline.when = 0.0
    loop.pass_time(50.0)
    deadline.move(1060.0)
    loop.pass_time(50.0)
    assert reached == [1060.0]


def test_deadline_that_moves_at_each_request_makes_one_timer():
    loop, deadline, _ = make()
    for _ in range(1000):
        deadline.when = 0.0
        deadline.move(loop.now + 75.0)
        loop.pass_time(0.01)
    assert loop.timers_made == 1


def test_cancelled_deadline_leaves_no_timer():
    loop, deadline, reached = make()
    deadline.move(1010.0)
    deadline.cancel()
    assert loop.timers_armed == 0
    loop.pass_time(100.0)
    assert not reached


def test_timer_that_fires_a_fraction_early_is_due():
    loop, deadline, reached = make()
    deadline.move(1010.0)
    deadline.when = 1010.0004
    loop.pass_time(10.0)
    assert reached == [1010.0]
