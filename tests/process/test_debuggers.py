"""Debuggers in a worker: pdb at the terminal, debugpy by its protocol, pydevd as an editor that listens."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import socket
import termios
import threading
from pathlib import Path

import pytest
from server_harness import DEADLINE_SECONDS, free_port, get, read_until

APPLICATION = """\
async def app(scope, receive, send):
    assert scope["type"] == "http"
    x = 42
    if scope["path"] == "/break":
        breakpoint()
    body = b"%d" % x
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""
LINE = 1 + APPLICATION[: APPLICATION.index("body =")].count("\n")


# --- pdb ---


def ask(terminal, *options):
    """The port, and a client that waits for its answer from a worker that has come to its breakpoint."""
    port = int(re.search(r"listening on \S*127.0.0.1:(\d+)", read_until(terminal, "generation 1 serves"))[1])
    client = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS)
    client.sendall(b"GET /break HTTP/1.0\r\n\r\n")
    read_until(terminal, "(Pdb) ")
    return client


@pytest.fixture
def serve(at_a_terminal, tmp_path):
    (tmp_path / "main.py").write_text(APPLICATION)
    return lambda *options: at_a_terminal("-m", "gracehttp", "serve", "main:app", "--bind", "127.0.0.1:0", *options)


@pytest.mark.parametrize("options", [[], ["--reload"], ["--preload"]], ids=str)
def test_breakpoint_works_at_the_terminal(serve, options) -> None:
    pid, terminal = serve(*options)
    with ask(terminal) as client:
        os.write(terminal, b"p x + 1\n")
        read_until(terminal, "43")
        os.write(terminal, b"x = 77\n")
        read_until(terminal, "(Pdb) ")
        os.write(terminal, b"c\n")
        assert client.recv(1000).endswith(b"\r\n\r\n77")
    os.write(terminal, b"\x03")  # pdb must not take it
    read_until(terminal, "gracehttp stopped")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_ctrl_c_in_the_debugger_ends_it_and_gives_the_terminal_back(serve) -> None:
    pid, terminal = serve("--reload")
    before = termios.tcgetattr(terminal)
    with ask(terminal):
        os.write(terminal, b"\x03")
        read_until(terminal, "gracehttp stopped")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1  # the worker was ended by force
    assert termios.tcgetattr(terminal) == before


# --- debugpy ---


class DapClient:
    """A client of the Debug Adapter Protocol, as an editor is one."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS)
        self._file = self._socket.makefile("rb")
        self._count = 0
        self._passed_over = []

    def send(self, command, **arguments):
        self._count += 1
        request = {"seq": self._count, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(request).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        return self._count

    def request(self, command, **arguments):
        return self.response(self.send(command, **arguments))

    def response(self, number):
        message = self._first(lambda one: one["type"] == "response" and one["request_seq"] == number)
        assert message["success"], message
        return message.get("body")

    def event(self, name):
        return self._first(lambda one: one["type"] == "event" and one["event"] == name)["body"]

    def attach(self, path, line, **arguments):
        self.request("initialize", adapterID="test")
        attaching = self.send("attach", **arguments)
        self._first(lambda one: one.get("event") == "initialized")
        self.request("setBreakpoints", source={"path": str(path)}, breakpoints=[{"line": line}])
        self.request("configurationDone")
        self.response(attaching)

    def _first(self, fits):
        message = next(filter(fits, self._passed_over), None)
        while message is None:
            read = self._read()
            if fits(read):
                return read
            self._passed_over.append(read)
        self._passed_over.remove(message)
        return message

    def _read(self):
        length = 0
        while line := self._file.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return json.loads(self._file.read(length))

    def close(self):
        self._file.close()
        self._socket.close()


@pytest.fixture
def clients():
    made = []

    def client(port):
        made.append(DapClient(port))
        return made[-1]

    yield client
    for one in made:
        one.close()


def in_background(call):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(call()), daemon=True)
    thread.start()
    return thread, answers


# Found, and not imported: what is imported here marks every worker of the tests' own process as debugged.
DEBUGPY = importlib.util.find_spec("debugpy")
needs_debugpy = pytest.mark.skipif(DEBUGPY is None, reason="not installed: debugpy")


@needs_debugpy
@pytest.mark.parametrize("options", [[], ["--reload"]], ids=str)
def test_debugpy_stops_at_a_breakpoint_in_a_worker_and_goes_on(start, clients, tmp_path, options) -> None:
    port = free_port()
    debugpy = ("-Xfrozen_modules=off", "-m", "debugpy", "--listen", f"127.0.0.1:{port}")
    serve = ("-m", "gracehttp", "serve", "main:app", "--bind", "127.0.0.1:0", *options)
    # Its adapter is not ours to wait for: it ends when its clients are gone.
    server = start(*debugpy, *serve, files={"main.py": APPLICATION})
    server.wait_for("worker 1 of generation 1 started")  # so debugpy listens
    editor = clients(port)
    path = tmp_path / "main.py"
    editor.attach(path, LINE, subProcess=True, justMyCode=False)
    child = editor.event("debugpyAttach")
    worker = clients(child["connect"]["port"])
    worker.attach(path, LINE, **child)
    server.wait_until_serving()
    thread, answers = in_background(lambda: get(server.port, timeout=DEADLINE_SECONDS))
    stopped = worker.event("stopped")
    (frame, *_) = worker.request("stackTrace", threadId=stopped["threadId"])["stackFrames"]
    assert (frame["name"], frame["line"]) == ("app", LINE)
    assert worker.request("evaluate", expression="x", frameId=frame["id"])["result"] == "42"
    worker.request("continue", threadId=stopped["threadId"])
    thread.join(DEADLINE_SECONDS)
    assert answers == [(200, "42")]
    assert "Traceback" not in server.log
    assert server.stop() == 0


@needs_debugpy
def test_pydevd_follows_into_the_worker(start) -> None:
    """As PyCharm starts it: the editor listens, and each process connects."""
    pydevd = Path(DEBUGPY.origin).parent / "_vendored" / "pydevd" / "pydevd.py"
    connected = threading.Semaphore(0)

    def run_each(editor):
        while True:
            try:
                process, _ = editor.accept()
            except OSError:
                return
            process.sendall(b"501\t1\t1.1\tUNIX\n101\t3\t\n")  # CMD_VERSION, CMD_RUN
            kept.append(process)
            connected.release()

    kept = []
    with socket.create_server(("127.0.0.1", 0)) as editor:
        in_background(lambda: run_each(editor))
        where = ("--multiprocess", "--client", "127.0.0.1", "--port", editor.getsockname()[1])
        serve = ("gracehttp", "serve", "main:app", "--bind", "127.0.0.1:0")
        frozen = "-Xfrozen_modules=off"
        server = start(frozen, pydevd, *where, "--module", "--file", *serve, files={"main.py": APPLICATION})
        server.wait_until_serving()
        assert connected.acquire(timeout=DEADLINE_SECONDS)
        assert connected.acquire(timeout=DEADLINE_SECONDS)
        assert get(server.port) == (200, "42")
        assert server.stop() == 0
        for process in kept:
            process.close()
        editor.shutdown(socket.SHUT_RDWR)  # wakes accept(2) up
