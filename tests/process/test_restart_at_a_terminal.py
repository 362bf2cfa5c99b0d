"""`gracehttp restart` as a person sees it: one live line at a terminal, one line for each step elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from deadlines import DEADLINE_SECONDS
from held_request import BODY_APPLICATION, HeldRequest
from server_harness import read_until

SERVE = ("-m", "gracehttp", "serve", "application:app", "--bind", "127.0.0.1:0", "--workers", "3", "--pidfile", "pid")
RESTART = ("-m", "gracehttp", "restart", "--pidfile", "pid")
ERASE = "\r\x1b[K"


def begin(start):
    server = start(*SERVE, files={"application.py": BODY_APPLICATION})
    server.wait_until_serving()
    return server


def test_a_live_line_tells_of_imports_workers_and_the_connections_left(start, at_a_terminal):
    server = begin(start)
    with HeldRequest(server.port) as held:
        pid, terminal = at_a_terminal(*RESTART)
        read = read_until(terminal, "generation 1 is draining, 1 connection left")
        held.finish()
        while True:
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # EIO: the command has ended (pty(7))
                break
            if not piece:
                break
            read += piece.decode()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    states = read.split(ERASE)
    assert "generation 2: importing application:app" in states
    ready = [state for state in states if state.startswith("generation 2: ready")]
    assert ready == [f"generation 2: ready {number} of 3" for number in (1, 2, 3)]
    result = r"generation 2 serves, worker PIDs: \d+ \d+ \d+\r\n"
    assert [one for one in states if "\n" in one and re.fullmatch(result, one)]
    assert states[-1] == ""  # nothing of the live line is left


def test_ctrl_c_ends_the_watching_of_the_drain_and_is_no_failure(start, at_a_terminal):
    server = begin(start)
    with HeldRequest(server.port) as held:
        pid, terminal = at_a_terminal(*RESTART)
        read_until(terminal, "generation 1 is draining, 1 connection left")
        os.write(terminal, b"\x03")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        held.finish()


def test_a_stop_tells_of_the_workers_that_are_left(start, at_a_terminal):
    server = begin(start)
    with HeldRequest(server.port) as held:
        pid, terminal = at_a_terminal("-m", "gracehttp", "stop", "--pidfile", "pid")
        read = read_until(terminal, "1 worker left to drain after ")
        held.finish()
        read += read_until(terminal, "stopped\r\n")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert read.split(ERASE)[-1] == "stopped\r\n"


def test_elsewhere_each_step_is_a_line(start):
    server = begin(start)
    with HeldRequest(server.port):  # nothing waits for the drain
        done = subprocess.run(
            [sys.executable, *RESTART],
            cwd=server.folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=3 * DEADLINE_SECONDS,
        )
    assert done.stdout.startswith("generation 2 serves, worker PIDs: ")
    assert "\x1b" not in done.stderr
    steps = done.stderr.splitlines()
    assert sum("is ready after" in step for step in steps) == 3
    assert not [step for step in steps if "importing" in step]
