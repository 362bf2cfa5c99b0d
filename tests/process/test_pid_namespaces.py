"""Two services that are both process 1, in one network namespace, as containers of a pod: each is controlled alone."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import PID_APPLICATION, children_of, get, wait_until

from gracehttp.wire.control import abstract_name

UNSHARE = ("unshare", "--pid", "--fork", "--kill-child")
SERVE = ("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0")


pytestmark = pytest.mark.root


@functools.cache
def obstacle():
    """Why there can be no other PID namespace here; "" if there can."""
    if os.geteuid() != 0:
        return "only root can make another PID namespace"
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return "there is no unshare, or no nsenter"
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"another PID namespace is not permitted here ({tried.stderr.strip()})"


@pytest.fixture
def begin(start, tmp_path):
    if reason := obstacle():
        pytest.skip(reason)

    def serve(name, application=PID_APPLICATION):
        """A service that is process 1 of a PID namespace of its own."""
        files = {"application.py": application}
        server = start(*SERVE, files=files, folder=tmp_path / name, launcher=UNSHARE)
        server.wait_until_serving()
        server.wait_for("started, pid 1 ")
        (server.first_process,) = children_of(server.pid)
        return server

    return serve


def within(server, *arguments):
    """Run `gracehttp` in the PID namespace of a service."""
    inside = ["nsenter", "--target", str(server.first_process), "--pid", sys.executable, "-m", "gracehttp", *arguments]
    return subprocess.run(inside, capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS)


def test_a_stop_in_one_container_leaves_the_other_alone(begin):
    one, other = begin("one"), begin("other")
    stopped = within(other, "stop", "--pid", "1")
    # With process 1 the kernel kills all others of its namespace, and so, often, the command (pid_namespaces(7)).
    assert stopped.returncode in (0, -signal.SIGKILL), stopped.stderr
    assert "stop requested" in stopped.stderr
    assert other.wait() == 0
    assert get(one.port)[0] == 200
    assert "stop requested" not in one.log
    refused = within(one, "status", "--pid", "4711")
    assert refused.returncode == 1


def test_a_container_without_a_service_stops_nobody(begin):
    server = begin("one")
    beside = [*UNSHARE, sys.executable, "-m", "gracehttp", "stop", "--pid", "1"]
    told = subprocess.run(beside, capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS)
    assert told.returncode == 1
    assert "process 1 has no control socket" in told.stderr
    assert get(server.port)[0] == 200
    assert "stop requested" not in server.log


ASK = """
import os, socket, sys
with socket.socket(socket.AF_UNIX) as client:
    client.connect(sys.argv[1].replace("@", "\\0"))
    try:
        client.sendall(b'{"version":1,"command":"stop"}\\n')
    except ConnectionError:
        pass
    print(client.recv(65536).decode())
"""


def test_a_process_of_another_pid_namespace_is_refused_also_if_it_knows_the_name(begin):
    server = begin("one")
    inode = os.stat(f"/proc/{server.first_process}/ns/pid").st_ino
    name = f"@gracehttp-{inode}-1"
    told = subprocess.run([*UNSHARE, sys.executable, "-c", ASK, name], capture_output=True, text=True, check=True)
    assert "a process of another PID namespace may not control this service" in told.stdout
    assert abstract_name(1) != name.replace("@", "\0")
    assert wait_until(lambda: get(server.port)[0] == 200)
    assert "stop requested" not in server.log


LEAVES_ORPHANS = """
    import subprocess

    def app(environ, start_response):
        subprocess.run(["sh", "-c", "for one in 1 2 3; do sleep 0.05 & done"])
        start_response("200 OK", [("Content-Length", "0")])
        return []
"""


def test_process_1_reaps_what_the_programs_of_the_application_leave_behind(begin):
    server = begin("one", LEAVES_ORPHANS)
    (worker,) = children_of(server.first_process)
    for _ in range(3):
        assert get(server.port)[0] == 200
    wait_until(lambda: children_of(server.first_process) == [worker], what="all orphans are reaped")
    assert get(server.port)[0] == 200
