"""Requests at the control socket that the supervisor can't act on: the client is told so, and not left waiting."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time

import pytest
from deadlines import DEADLINE_SECONDS

from gracehttp.events.bus import EventBus
from gracehttp.supervisor.control import socket as module
from gracehttp.supervisor.control.socket import BACKLOG, ControlSocket, open_control
from gracehttp.wire.control import Peer, Status

NESTED = b"[" * 60_000
STATUS = b'{"version": 1, "command": "status"}'


def test_a_file_that_is_no_socket_is_named_as_the_reason_that_there_is_no_control_socket(tmp_path):
    file = tmp_path / "ctl.txt"
    file.write_text("precious")
    bus, told = EventBus(), []
    bus.subscribe(lambda event: told.append(str(event)))
    assert open_control(str(file), Broken(), Broken(), bus) is None
    assert told == [f"no control socket at {file} (the file exists and is no socket); signals work all the same"]
    assert file.read_text() == "precious"


class Broken:
    """A supervisor with a defect."""

    def status(self):
        raise RuntimeError("a defect of ours")


async def ask(path, line):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        control = ControlSocket(sock, None, Broken(), Broken(), EventBus())
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(line + b"\n")
        answer = json.loads(await reader.readline())
        writer.close()
        await control.close()
    return answer


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (NESTED, "the request can't be read (it is nested too deeply)"),
        (STATUS, "the supervisor failed to act on the request (RuntimeError('a defect of ours'))"),
    ],
    ids=["nested", "defect"],
)
def test_a_request_that_can_not_be_acted_on_is_refused(tmp_path, line, told):
    async def scenario():
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        answer = await ask(tmp_path / "control", line)
        assert (answer["done"], answer["ok"], answer["message"]) == (True, False, told)

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))


class Living:
    """A supervisor that tells its status."""

    def status(self):
        return Status(pid=1, version="0", uptime_seconds=0.0, generations=(), listeners=())


@contextlib.contextmanager
def listening(where, path=None):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(where)
        sock.listen(BACKLOG)
        yield ControlSocket(sock, path, Living(), Living(), EventBus())


@pytest.fixture
def abstract():
    return f"\0gracehttp-test-{os.getpid()}-{time.monotonic_ns()}"


def test_who_may_not_control_it_is_turned_away_before_anything_is_read(monkeypatch, abstract):
    monkeypatch.setattr(module, "peer_of", lambda _sock: Peer(4711, 65534))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    may_not = "user 65534 may not control this service, only root and the user that runs it (1000)"

    async def scenario():
        with listening(abstract) as control:
            refused = []
            control._bus.subscribe(refused.append)
            for _ in range(2):  # it is told once a minute
                reader, writer = await asyncio.open_unix_connection(abstract)
                answer = json.loads(await reader.read())
                writer.close()
                assert answer["message"] == may_not
            assert not control._connections
            assert [str(event) for event in refused] == [f"a client of the control socket was refused: {may_not}"]
            await control.close()

    asyncio.run(scenario())


def test_those_who_are_turned_away_keep_nobody_waiting(monkeypatch, abstract):
    """Many of them in the queue before the one that may ask: they are gone in a few turns of the loop."""
    strangers = 200
    monkeypatch.setattr(module, "peer_of", strangers_first(strangers))

    async def scenario():
        with listening(abstract) as control, contextlib.ExitStack() as opened:
            for _ in range(strangers):
                opened.enter_context(socket.socket(socket.AF_UNIX)).connect(abstract)
            reader, writer = await asyncio.open_unix_connection(abstract)
            writer.write(STATUS + b"\n")
            assert json.loads(await reader.readline())["status"]["pid"] == 1
            assert len(control._connections) <= 1
            writer.close()
            await control.close()

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))


def strangers_first(count):
    peers = [Peer(4711, 4242)] * count

    def peer_of(_sock):
        return peers.pop() if peers else Peer(4711, os.geteuid())

    return peer_of


@pytest.mark.parametrize("has_file", [False, True])
def test_another_pid_namespace_has_to_come_by_a_file(monkeypatch, tmp_path, has_file, abstract):
    """Containers in one network namespace see each other's abstract names, and may run as the same user."""
    monkeypatch.setattr(module, "peer_of", lambda _sock: Peer(0, os.geteuid()))
    path = str(tmp_path / "control") if has_file else None

    async def scenario():
        with listening(path or abstract, path) as control:
            reader, writer = await asyncio.open_unix_connection(path or abstract)
            if has_file:
                writer.write(STATUS + b"\n")
            answer = json.loads(await reader.readline())  # of a stranger, nothing is read
            assert answer["ok"] is has_file
            writer.close()
            await control.close()

    asyncio.run(scenario())
