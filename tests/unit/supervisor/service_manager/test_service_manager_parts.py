"""The parts that speak with a service manager, each alone."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
from types import SimpleNamespace

import pytest

from gracehttp.net.activation import passed_descriptors
from gracehttp.net.address import DescriptorAddress, parse_bind
from gracehttp.supervisor.endpoints.health import Liveness
from gracehttp.supervisor.fleet import WorkerState
from gracehttp.supervisor.service_manager.socket import NotifySocket, notify_socket
from gracehttp.supervisor.service_manager.store import ListenerStore
from gracehttp.supervisor.service_manager.watchdog_pings import watchdog_seconds


def in_a_loop(test):
    """The test runs in an event loop."""

    @functools.wraps(test)
    def run(*arguments, **fixtures):
        asyncio.run(test(*arguments, **fixtures))

    return run


@pytest.mark.parametrize(
    ("variables", "passed"),
    [
        ({"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:api"}, [("web", 3), ("api", 4)]),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "2"}, [("unknown", 3), ("unknown", 4)]),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web"}, [("web", 3), ("unknown", 4)]),
        ({"LISTEN_PID": "8", "LISTEN_FDS": "2"}, []),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "two"}, []),
        ({}, []),
    ],
)
def test_descriptors_are_those_that_were_passed_to_this_process(variables, passed):
    assert passed_descriptors(variables, 7) == passed


def test_a_bind_by_name_reads_as_it_is_written():
    bind = parse_bind("systemd:web.socket?max_connections=5")
    assert bind.address == DescriptorAddress(-1, "web.socket")
    assert str(bind.address) == "systemd:web.socket"
    assert parse_bind("systemd:8000").address != DescriptorAddress(-1, "8000"), "a host may have that name"


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "7"}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_if_it_names_nobody_or_us(variables, seconds):
    assert watchdog_seconds(variables, 7) == seconds


@in_a_loop
async def test_messages_wait_in_their_order_for_a_manager_that_reads_slowly(tmp_path):
    failed = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(os.fspath(tmp_path / "notify"))
        manager.setblocking(False)
        ours = NotifySocket(os.fspath(tmp_path / "notify"), failed.append)
        for number in range(900):
            ours.send(f"X_NUMBER={number}")
        received = []
        while len(received) < 900:
            try:
                received.append(manager.recv(100))
            except BlockingIOError:
                await asyncio.sleep(0.01)
        ours.close()
    assert received == [f"X_NUMBER={number}".encode() for number in range(900)]
    assert not failed


@in_a_loop
async def test_a_manager_that_is_gone_is_told_of_once(tmp_path):
    failed = []
    ours = NotifySocket(os.fspath(tmp_path / "nobody"), failed.append)
    ours.send("READY=1")
    ours.send("READY=1")
    ours.close()
    assert failed == ["No such file or directory"]
    assert notify_socket({"NOTIFY_SOCKET": "vsock:2:1234"}, failed.append) is None
    assert "neither a path nor an abstract name" in failed[1]
    assert notify_socket({}, failed.append) is None


def test_what_is_no_listener_or_not_inherited_is_not_claimed():
    with socket.socket() as plain, socket.create_server(("127.0.0.1", 0)) as ours:
        copy = os.dup(plain.fileno())
        os.set_inheritable(copy, True)
        store = ListenerStore(None, [("gracehttp-a%3A1", copy), ("gracehttp-b%3A1", ours.fileno()), ("web", 99)])
        assert store.claim("a:1") is None
        assert store.claim("b:1") is None
        assert store.forget_the_rest() == []


class Fleet:
    """As much as `Liveness` asks for."""

    def __init__(self, *states):
        workers = {n: SimpleNamespace(number=n, state=WorkerState[state]) for n, state in enumerate(states)}
        self.generations = {1: SimpleNamespace(workers=workers)}


@in_a_loop
async def test_one_worker_that_answers_is_life_and_none_in_time_is_not():
    pinged, told = [], []
    liveness = Liveness(Fleet("SERVING", "DRAINING", "STARTING"), pinged.append)
    liveness.ask(told.append)
    assert (pinged, told) == ([0, 1], [])
    liveness.heard()
    liveness.heard()
    assert told == [""]
    silence = asyncio.get_running_loop().create_future()
    liveness.ask(silence.set_result, within_seconds=0.01)
    assert await silence == "no worker answered for 0.01 s"
    liveness.close()


@pytest.mark.parametrize(
    ("states", "reason"), [(("STARTING",), ""), (("KILLED",), "no worker runs"), ((), "no worker runs")]
)
@in_a_loop
async def test_without_a_worker_at_work_a_start_is_life(states, reason):
    told = []
    Liveness(Fleet(*states), lambda worker: None).ask(told.append)
    assert told == [reason]
