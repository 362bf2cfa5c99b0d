"""The client's decisions: what an answer means, and what a failed connection means."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from control_fakes import RESTARTED, supervisor

from gracehttp.cli import control_client
from gracehttp.cli.control_client import ControlAddress, ControlClient, Conversation, unreachable
from gracehttp.cli.process_table import Entry, entry_of, read_stat
from gracehttp.cli.target import find, read_pidfile
from gracehttp.errors import CommandFailed, ConfigurationError
from gracehttp.wire.control import Outcome, Peer


def gone_pid() -> int:
    """The PID of a process that has just ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_answers_cut_anywhere_mean_the_same() -> None:
    stream = b'{"progress": "one"}\n{"progress": "zwei \xc3\xbc"}\n' + json.dumps(RESTARTED).encode() + b"\n"
    for cut in range(len(stream) + 1):
        conversation = Conversation()
        news = conversation.feed(stream[:cut]) + conversation.feed(stream[cut:])
        assert [one.progress for one in news] == ["one", "zwei ü"]
        assert conversation.outcome == Outcome(True, "generation 2 serves", "", 2, (11, 12))


def test_unknown_answers_are_passed_over() -> None:
    conversation = Conversation()
    assert conversation.feed(b'{"weather": "fine"}\n') == []
    assert conversation.accepted


@pytest.mark.parametrize("line", [b"hello\n", b"[]\n", b'{"done": true}\n', b'{"done": true, "ok": true, "pids": 5}\n'])
def test_answer_that_is_no_protocol_is_an_error(line: bytes) -> None:
    with pytest.raises(CommandFailed, match="can't be understood"):
        Conversation().feed(line)


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        (ControlAddress(path="/c"), FileNotFoundError(errno.ENOENT, "x"), "no supervisor listens at /c"),
        (ControlAddress(path="/c"), ConnectionRefusedError(errno.ECONNREFUSED, "x"), "no supervisor listens at /c"),
        (ControlAddress(path="/c"), PermissionError(errno.EACCES, "x"), "you may not control the supervisor at /c"),
        (ControlAddress(path="/c"), OSError(errno.EPROTOTYPE, "wrong type"), "cannot connect to /c: wrong type"),
        (ControlAddress(path="/c"), OSError("AF_UNIX path too long"), "cannot connect to /c: AF_UNIX path too long"),
        (ControlAddress(path="/c"), TimeoutError(), "does not answer"),
        (ControlAddress(path="/c"), BlockingIOError(errno.EAGAIN, "x"), "too many clients wait for it"),
        (ControlAddress(pid=1), BlockingIOError(errno.EAGAIN, "x"), "the supervisor at pid 1 has not taken"),
        (ControlAddress(pid=1), ConnectionRefusedError(errno.ECONNREFUSED, "x"), "process 1 has no control socket"),
    ],
)
def test_failed_connection_is_one_sentence(address: ControlAddress, error: OSError, message: str) -> None:
    assert message in unreachable(address, error).message


def test_pid_that_no_process_has_is_told() -> None:
    pid = gone_pid()
    assert unreachable(ControlAddress(pid=pid), ConnectionRefusedError()).message == f"no process has the pid {pid}."


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("12 (gracehttp) S 1 12", Entry("gracehttp", 1, False)),
        ("12 (a) b) (c) Z 7 12", Entry("a) b) (c", 7, True)),
        ("12 () S 1", None),
        ("", None),
    ],
)
def test_entry_of_a_process_is_read(line: str, entry: Entry | None) -> None:
    if entry is not None:
        assert read_stat(line) == entry
        return
    with pytest.raises(ValueError, match=r"no entry|not enough"):
        read_stat(line)


@pytest.mark.parametrize(
    ("entry", "told", "hint"),
    [
        (None, "process 5 has no control socket.", "kill -TERM 5 stops"),
        (Entry("gracehttp", 1, False), "process 5 has no control socket.", "kill -TERM 5 stops"),
        (Entry("gracehttp", 3, True), "it has ended, and its parent (pid 3) has not asked how", "is not running"),
        (
            Entry("gracehttp-w2", 4, False),
            "it is a worker, template or spare process of gracehttp (gracehttp-w2)",
            "is pid 4",
        ),
        (
            Entry("gracehttp-t1", 9, False),
            "it is a worker, template or spare process of gracehttp",
            "the PID of its supervisor",
        ),
        (Entry("postgres", 1, False), "it is 'postgres', and no supervisor of gracehttp", "is that PID an old one?"),
    ],
)
def test_what_has_no_control_socket_is_named_and_a_stranger_gets_no_signal(
    monkeypatch: pytest.MonkeyPatch, entry: Entry | None, told: str, hint: str
) -> None:
    table = {5: entry, 4: Entry("gracehttp", 1, False)}
    monkeypatch.setattr(control_client, "_runs", lambda pid: True)
    monkeypatch.setattr(control_client, "entry_of", table.get)
    error = unreachable(ControlAddress(pid=5), ConnectionRefusedError())
    assert told in error.message
    assert hint in error.hint
    assert ("kill" in error.hint) is (entry in (None, Entry("gracehttp", 1, False)))


def test_a_process_that_waits_to_be_reaped_is_known_to_have_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        entry = entry_of(process.pid)
    assert entry is not None
    assert (entry.has_ended, entry.parent) == (True, os.getpid())


@pytest.mark.parametrize("deadline", [None, 30.0])
def test_while_nothing_comes_the_client_can_do_something_else(
    monkeypatch: pytest.MonkeyPatch, deadline: float | None
) -> None:
    monkeypatch.setattr(control_client, "MEANWHILE_SECONDS", 0.001)
    calls: list[int] = []
    with supervisor([], hold_open=True), ControlClient(ControlAddress(pid=os.getpid())) as client:

        def enough() -> None:
            calls.append(len(calls))
            if len(calls) == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            client.ask("stop", doing="stopping", timeout_seconds=deadline, meanwhile=enough)
    assert calls == [0, 1, 2]


@pytest.mark.parametrize(
    ("given", "environ", "found"),
    [
        ({"pid": 5}, {"GRACEHTTP_CONTROL": "/c"}, ControlAddress(pid=5)),
        ({"control": "/d"}, {"GRACEHTTP_CONTROL": "/c"}, ControlAddress(path="/d")),
        ({}, {"GRACEHTTP_CONTROL": "/c"}, ControlAddress(path="/c")),
        ({}, {"GRACEHTTP_CONTROL": "", "GRACEHTTP_PIDFILE": "PIDFILE"}, ControlAddress(pid=7)),
        ({"pidfile": "PIDFILE"}, {"GRACEHTTP_CONTROL": "/c"}, ControlAddress(pid=7)),
    ],
)
def test_option_names_the_supervisor_else_the_environment(
    tmp_path: Path, given: dict[str, object], environ: dict[str, str], found: ControlAddress
) -> None:
    pidfile = tmp_path / "app.pid"
    pidfile.write_text("7\n")
    place = {"PIDFILE": str(pidfile)}
    options = {name: place.get(str(value), value) for name, value in given.items()}
    variables = {name: place.get(value, value) for name, value in environ.items()}
    every = {"pidfile": None, "pid": None, "control": None, "config_file": None, **options}
    assert find(**every, environ=variables) == found  # type: ignore[arg-type]  # a table of mixed types


def test_two_names_for_a_supervisor_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="several supervisors"):
        find(pidfile=None, pid=5, control="/c", config_file=None, environ={})


@pytest.mark.parametrize("content", ["", "abc", "-5", "0", "1 2", "²"])
def test_pidfile_without_a_pid_is_told(tmp_path: Path, content: str) -> None:
    pidfile = tmp_path / "app.pid"
    pidfile.write_text(content)
    with pytest.raises(CommandFailed, match="holds no PID"):
        read_pidfile(pidfile)


def test_missing_pidfile_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="there is no pidfile"):
        read_pidfile(tmp_path / "app.pid")


def test_pidfile_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="cannot read the pidfile"):
        read_pidfile(tmp_path)


def test_service_without_a_control_socket_is_left_to_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_client, "entry_of", {os.getpid(): Entry("gracehttp", 1, False)}.get)
    hint = unreachable(ControlAddress(pid=os.getpid()), ConnectionRefusedError()).hint
    assert f"with --no-control, kill -HUP {os.getpid()} restarts and kill -TERM {os.getpid()} stops" in hint


@pytest.fixture
def full_queue(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket that listens, and whose queue takes no more clients."""
    path = str(tmp_path / "control")
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        while True:
            client = opened.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            try:
                client.connect(path)
            except BlockingIOError:
                break
        yield listener, path


def test_a_client_waits_until_the_queue_has_room(
    full_queue: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, path = full_queue
    waited = []

    def accept_all_but_one(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            listener.accept()[0].close()

    monkeypatch.setattr(control_client.time, "sleep", accept_all_but_one)
    with ControlClient(ControlAddress(path=path)) as client:
        assert client.peer_pid == os.getpid()
    assert len(waited) == 3


def test_a_queue_that_stays_full_is_told_for_what_it_is(
    full_queue: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_client, "CONNECT_TIMEOUT_SECONDS", 0.05)
    with pytest.raises(CommandFailed, match="too many clients wait for it"):
        ControlClient(ControlAddress(path=full_queue[1]))


@pytest.mark.parametrize(
    ("peer", "who"),
    [(Peer(0, 0), "a process of another PID namespace"), (Peer(4711, 0), "another process, pid 4711")],
)
def test_who_can_not_be_the_one_that_was_named_is_asked_for_nothing(
    peer: Peer, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_client, "peer_of", lambda _sock: peer)
    with supervisor([RESTARTED]) as fake, pytest.raises(CommandFailed, match=f"is held by {who}"):
        ControlClient(ControlAddress(pid=os.getpid()))
    assert fake.requests == []
