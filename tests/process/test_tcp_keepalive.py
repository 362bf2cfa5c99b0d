"""Clients that vanished without a FIN are found by the kernel's probes, on accepted connections too."""

from __future__ import annotations

import re
import signal
import socket
import subprocess

import pytest
from server_harness import PID_APPLICATION, get_on


def timer_of(port, client):
    """What ss tells of the timer of the server's end: the seconds until the first probe, None without one."""
    told = subprocess.run(
        ["ss", "--no-header", "--tcp", "--options", f"sport = :{port} and dport = :{client}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    match = re.search(r"timer:\(keepalive,(?:(\d+)min)?(?:([\d.]+)(ms|sec))?,", told)
    if match is None:
        return None
    return 60 * int(match[1] or 0) + float(match[2] or 0) * (0.001 if match[3] == "ms" else 1)


@pytest.fixture
def ss():
    try:
        subprocess.run(["ss", "--version"], capture_output=True, check=True)
    except OSError:
        pytest.skip("no ss (iproute2) here")


@pytest.mark.usefixtures("ss")
@pytest.mark.parametrize(
    ("option", "seconds"), [((), 60), (("--tcp-keepalive", "20s"), 20), (("--tcp-keepalive", "0s"), 0)]
)
def test_accepted_connections_are_probed(start, option, seconds):
    server = start(
        *("-m", "gracehttp", "serve", "main:app", "-b", "127.0.0.1:0", *option), files={"main.py": PID_APPLICATION}
    )
    server.wait_until_serving()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        get_on(client)
        timer = timer_of(server.port, client.getsockname()[1])
    assert timer is None if not seconds else timer is not None and seconds - 10 < timer <= seconds + 1


@pytest.mark.usefixtures("ss")
def test_a_restart_brings_another_time(start):
    server = start(
        *("-m", "gracehttp", "serve", "-c", "g.toml"),
        files={"main.py": PID_APPLICATION, "g.toml": 'app = "main:app"\nport = 0\ntcp_keepalive = "0s"\n'},
    )
    server.wait_until_serving()
    server.write("g.toml", 'app = "main:app"\nport = 0\ntcp_keepalive = "30s"\n')
    server.send_signal(signal.SIGHUP)
    server.wait_until_serving(2)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        get_on(client)
        assert 20 < timer_of(server.port, client.getsockname()[1]) <= 31
