"""Supervisor and workers of different releases: one side is real, the other is played by the vectors of a release.

What the real side says must equal the vectors of this release, so that a change of the channel is noticed, and it must
understand what each release so far has said, and what a newer one may add.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from server_harness import DEADLINE_SECONDS, PID_APPLICATION, read_response, wait_until

from gracehttp.net.permits import PermitPool
from gracehttp.release import RELEASE
from gracehttp.supervisor.listeners.queues import HandoverQueue
from gracehttp.wire.lineage import CHANNEL_VARIABLE

VECTORS = Path(__file__).parents[1] / "vectors"
RELEASES = sorted(folder.name for folder in VECTORS.iterdir() if folder.is_dir())
NEWER = {"added": ["something"]}
"""Fields that nobody knows yet."""

every_release = pytest.mark.parametrize(
    ("release", "added"), [*((one, {}) for one in RELEASES), (RELEASE, NEWER)], ids=[*RELEASES, "newer"]
)


def said(name, release=RELEASE):
    """The lines of a vector by their type."""
    lines = map(json.loads, (VECTORS / release / name).read_text().splitlines())
    return {line["type"]: line for line in lines}


def shape(message):
    """Names and types: what a message has, whatever its sentences and numbers are."""
    return {key: type(value) for key, value in message.items()}


# --- a real supervisor, and workers of another release ---

WORKERS_OF_ANOTHER_RELEASE = """
    import gracehttp
    import json
    import os
    import socket
    import sys

    if "GRACEHTTP_WORKER_CHANNEL" not in os.environ:
        grace = gracehttp.GraceHTTP()
        grace.add_server("application:app", bind="unix:app.sock")
        sys.exit(grace.run())
    with open("says.json") as file:
        says = json.load(file)
    channel = socket.socket(fileno=int(os.environ["GRACEHTTP_WORKER_CHANNEL"]))

    def say(*kinds):
        for kind in kinds:
            fds = [0] * says[kind].get("descriptors", 0)
            socket.send_fds(channel, [json.dumps(says[kind]).encode() + b"\\n"], fds)

    say("hello")
    with open(f"heard-{os.getpid()}", "ab", buffering=0) as heard:
        for line in channel.makefile("rb"):
            heard.write(line)
            message = json.loads(line)
            if message["type"] == "refuse" or message.get("reason") == "stop":
                break
            answers = says["answers"].get(message["type"], ())
            say(*answers)
            if "failed" in answers:
                break
"""


@pytest.fixture
def supervise(start):
    """Start a supervisor whose workers say what `says` has, and `answers` to what they hear."""

    def begin(says, added, answers):
        lines = {kind: {**line, **added} for kind, line in says.items()}
        files = {"script.py": WORKERS_OF_ANOTHER_RELEASE, "says.json": json.dumps({**lines, "answers": answers})}
        return start("script.py", files=files, environment={"TZ": "<+01>-1"})  # that of the vector

    return begin


def heard(server, pid):
    """The whole lines that a worker has heard; its handover queue, which the kernel numbers, has that of the vector."""
    *lines, _ = (server.folder / f"heard-{pid}").read_bytes().split(b"\n")
    messages = list(map(json.loads, lines))
    theirs = said("supervisor-says.jsonl")["take_listener"]["queue"]["identity"]
    for message in messages:
        if message["type"] == "take_listener":
            ours, message["queue"]["identity"] = message["queue"]["identity"], theirs
        if "queues" in message:
            message["queues"] = [theirs if one == ours else one for one in message["queues"]]
    return messages


def wait_until_heard(server, pid, *kinds):
    """Wait until the worker has heard messages of these types, in this order, and no others; returns them."""
    wait_until(lambda: [one["type"] for one in heard(server, pid)] == list(kinds), what=f"worker {pid} hears {kinds}")
    return heard(server, pid)


@every_release
def test_a_supervisor_tells_workers_of_another_release_to_pause_and_to_serve_again(supervise, release, added):
    answers = {"welcome": ["code_recorded", "ready"], "pause": ["paused"], "serve": ["answered"]}
    server = supervise(said("worker-says.jsonl", release), added, answers)
    (first,) = server.wait_until_serving(1)
    server.send_signal(signal.SIGHUP)
    server.wait_for("rolled back .* 10 of its 40 responses were server errors")
    lines = wait_until_heard(
        server,
        first,
        *("take_listener", "leave_template", "take_page", "record_code", "welcome", "serve", "pause", "serve"),
    )
    expected = said("supervisor-says.jsonl")
    assert lines == [expected[one["type"]] for one in lines]


@every_release
def test_a_supervisor_tells_workers_of_another_release_to_drain_hold_and_go_on(supervise, release, added):
    server = supervise(
        said("worker-says-least.jsonl", release), added, {"welcome": ["ready"], "drain": ["stopped_accepting"]}
    )
    (first,) = server.wait_until_serving(1)
    (second,) = server.restart(2)
    so_far = ("take_listener", "welcome", "serve", "drain", "others_stopped")
    wait_until_heard(server, first, *so_far)
    os.kill(second, signal.SIGKILL)
    lines = wait_until_heard(server, first, *so_far, "hold", "resume")
    expected = said("supervisor-says.jsonl")
    assert lines == [expected[one["type"]] for one in lines]
    assert server.stop() == 0


@every_release
def test_a_supervisor_hears_what_workers_of_another_release_count(supervise, release, added):
    says = said("worker-says-least.jsonl", release)
    server = supervise(
        says, added, {"welcome": ["ready"], "serve": ["shed", "due_for_recycling"], "drain": ["stopped_accepting"]}
    )
    server.wait_for(r"worker 1 of generation 1 .*1000 requests")
    assert server.status()["listeners"][0]["shed_connections"] >= says["shed"]["connections"]


@every_release
def test_a_supervisor_tells_why_a_worker_of_another_release_failed(supervise, release, added):
    says = said("worker-says-least.jsonl", release)
    server = supervise(says, added, {"welcome": ["failed"]})
    server.wait_for(says["failed"]["message"].rstrip("."))


@every_release
def test_a_supervisor_asks_workers_of_another_release_where_they_hang_and_ends_those_that_do_not_tell(
    supervise, release, added
):
    says = said("worker-says-least.jsonl", release)
    settings = {**says["hello"]["settings"], "ready_timeout_seconds": 1.0}
    server = supervise({**says, "hello": {**says["hello"], "settings": settings}}, added, {})
    assert server.wait() == 3
    assert "Fatal Python error: Aborted" in server.log
    (file,) = server.folder.glob("heard-*")
    (worker,) = {int(file.name.removeprefix("heard-"))}
    lines = heard(server, worker)
    expected = said("supervisor-says.jsonl")
    assert [one["type"] for one in lines] == ["take_listener", "welcome", "request_dump"]
    assert lines == [expected[one["type"]] for one in lines]


def test_a_supervisor_refuses_a_worker_that_speaks_no_version_it_knows(supervise):
    hello = {**said("worker-says.jsonl")["hello"], "versions": [99]}
    server = supervise({"hello": hello}, {}, {})
    assert server.wait() == 3
    (file,) = server.folder.glob("heard-*")
    assert [json.loads(line) for line in file.read_bytes().splitlines()] == [said("supervisor-says.jsonl")["refuse"]]


# --- a real worker, and the supervisor of another release ---

SERVE = (
    "-m", "gracehttp", "serve", "application:app", "--bind", "unix:app.sock", "--max-connections", "100", "--preload",
    "--probation", "10s", "--probation-max-errors", "5%", "--max-requests", "1", "--shed-idle-after", "1ms",
)  # fmt: skip


class PlayedSupervisor:
    """The supervisor of another release, and a worker of this one. Each message can be awaited by its type."""

    def __init__(self, folder, release, added, application=PID_APPLICATION):
        self._says = {kind: {**line, **added} for kind, line in said("supervisor-says.jsonl", release).items()}
        self._added = added
        self._incoming = b""
        self.said = {}
        with contextlib.ExitStack() as opened:
            (folder / "application.py").write_text("\n".join(line[4:] for line in application.splitlines()))
            self.listener = opened.enter_context(socket.socket(socket.AF_UNIX))
            self.where = str(folder / "app.sock")
            self.listener.bind(self.where)
            self.listener.listen()
            self._pool = PermitPool(1)
            opened.callback(self._pool.close)
            self._queue = HandoverQueue()
            opened.callback(self._queue.close)
            self._channel, theirs = socket.socketpair()
            opened.enter_context(self._channel)
            self._channel.settimeout(DEADLINE_SECONDS)
            with theirs:
                self.process = subprocess.Popen(
                    [sys.executable, *SERVE],
                    cwd=folder,
                    env={**os.environ, CHANNEL_VARIABLE: str(theirs.fileno())},
                    pass_fds=[theirs.fileno()],
                    stderr=subprocess.DEVNULL,
                )
            opened.callback(self._end)
            self._opened = opened.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._opened.close()

    def _end(self):
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)

    def say(self, kind, fds=()):
        line = self._says[kind]
        assert line["descriptors"] == len(fds)
        if self._added:
            self._channel.sendall(b'{"type": "unheard of"}\n')
        socket.send_fds(self._channel, [json.dumps(line).encode() + b"\n"], fds)

    def welcome(self):
        self.wait_for("hello")
        self.say("take_listener", [self.listener.fileno(), *self._pool.filenos(), *self._queue.filenos()])
        self.say("record_code")
        self.say("welcome", [sys.__stderr__.fileno()])

    def wait_for(self, kind):
        while kind not in self.said:
            data, fds, _, _ = socket.recv_fds(self._channel, 65536, 4)
            assert data, f"the worker ended, and said only {self.said}"
            for fd in fds:
                os.close(fd)
            *lines, self._incoming = (self._incoming + data).split(b"\n")
            self.said.update((message["type"], message) for message in map(json.loads, lines))
        return self.said[kind]


@every_release
def test_a_worker_obeys_the_supervisor_of_another_release_and_says_what_it_should(tmp_path, release, added):
    with PlayedSupervisor(tmp_path, release, added) as supervisor:
        supervisor.welcome()
        supervisor.wait_for("ready")
        supervisor.say("serve")
        with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
            for one in (first, second):  # the second is accepted when the first is shed
                one.settimeout(DEADLINE_SECONDS)
                one.connect(supervisor.where)
                one.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                assert read_response(one)[2] == str(supervisor.process.pid).encode()
        supervisor.say("ping")
        for kind in ("alive", "answered", "due_for_recycling", "shed"):
            supervisor.wait_for(kind)
        supervisor.say("pause")
        supervisor.wait_for("paused")
        supervisor.say("serve")
        for kind in ("hold", "resume", "drain"):
            supervisor.say(kind)
        supervisor.wait_for("stopped_accepting")
        assert supervisor.process.wait(DEADLINE_SECONDS) == 0
    expected = said("worker-says.jsonl")
    known = {name: expected["hello"][name] for name in ("pid", "build")}
    hello = {**supervisor.said.pop("hello"), **known}
    assert hello == expected["hello"]
    assert set(supervisor.said) == {
        "code_recorded", "stage_began", "ready", "alive", "answered", "due_for_recycling", "shed", "paused",
        "stopped_accepting",
    }  # fmt: skip
    assert {kind: shape(line) for kind, line in supervisor.said.items()} == {
        kind: shape(expected[kind]) for kind in supervisor.said
    }
    assert supervisor.said["code_recorded"]["descriptors"] == 1


@every_release
def test_a_worker_that_the_supervisor_of_another_release_asks_where_it_hangs_tells_and_ends(tmp_path, release, added):
    with PlayedSupervisor(tmp_path, release, added) as supervisor:
        supervisor.welcome()
        supervisor.wait_for("ready")
        supervisor.say("request_dump")
        assert supervisor.process.wait(DEADLINE_SECONDS) == -signal.SIGABRT


@every_release
def test_a_worker_tells_the_supervisor_of_another_release_why_it_failed(tmp_path, release, added):
    with PlayedSupervisor(tmp_path, release, added, application="    import missing") as supervisor:
        supervisor.welcome()
        assert shape(supervisor.wait_for("failed")) == shape(said("worker-says.jsonl")["failed"])
        assert supervisor.process.wait(DEADLINE_SECONDS) == 3


def test_a_worker_ends_with_the_sentence_of_a_supervisor_that_refuses_it(tmp_path):
    with PlayedSupervisor(tmp_path, RELEASE, {}) as supervisor:
        supervisor.wait_for("hello")
        supervisor.say("refuse")
        assert supervisor.wait_for("failed")["message"] == said("supervisor-says.jsonl")["refuse"]["message"]
        assert supervisor.process.wait(DEADLINE_SECONDS) == 3
