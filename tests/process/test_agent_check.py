"""HAProxy's agent-check: what the supervisor says, and what a real HAProxy makes of it."""

from __future__ import annotations

import contextlib
import csv
import io
import signal
import socket
import urllib.request

from deadlines import DEADLINE_SECONDS
from proxies import haproxy
from server_harness import PID_APPLICATION, free_port, wait_until

SECTIONS = """
    listen web
        bind 127.0.0.1:{front}
        server app 127.0.0.1:{port} weight 200 agent-check agent-addr 127.0.0.1 agent-port {agent} agent-inter 100ms
    listen stats
        bind 127.0.0.1:{stats}
        stats enable
        stats uri /
"""


def serve(start, *options, application=PID_APPLICATION):
    server = start(
        *("-m", "gracehttp", "serve", "main:app", "-b", "127.0.0.1:0", "--agent-check", "127.0.0.1:0", *options),
        files={"main.py": application},
    )
    agent = int(server.wait_for(r"answering agent-checks of HAProxy at \S+:(\d+)")[1])
    return server, agent


def said(agent):
    with socket.create_connection(("127.0.0.1", agent), timeout=DEADLINE_SECONDS) as sock:
        return b"".join(iter(lambda: sock.recv(100), b""))


def test_the_weight_is_the_share_of_free_connections_and_the_words_follow_the_service(start):
    code = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.02)\nasync def app(s, r, send): pass\n"
    server, agent = serve(start, "--max-connections", "4", "--stop-delay", "1h", application=code)
    assert said(agent) == b"maint\n"
    server.write("go", "")
    server.wait_until_serving()
    assert said(agent) == b"up ready 100%\n"
    with contextlib.ExitStack() as clients:
        for left in (b"75%", b"50%", b"25%", b"1%"):
            clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            wait_until(lambda left=left: said(agent) == b"up ready " + left + b"\n", what=f"{left!r} are free")
    wait_until(lambda: said(agent) == b"up ready 100%\n")
    server.send_signal(signal.SIGTERM)
    server.wait_for("stop requested")
    assert said(agent) == b"drain\n"


def test_haproxy_takes_the_weight_and_the_drain(start, tmp_path):
    server, agent = serve(start, "--max-connections", "4", "--stop-delay", "1h")
    server.wait_until_serving()
    front, stats = free_port(), free_port()
    sections = SECTIONS.format(front=front, port=server.port, agent=agent, stats=stats)
    with haproxy(tmp_path / "haproxy", [front, stats], sections):

        def shown():
            with urllib.request.urlopen(f"http://127.0.0.1:{stats}/;csv") as answer:
                rows = csv.DictReader(io.StringIO(answer.read().decode().removeprefix("# ")))
            (row,) = [row for row in rows if row["svname"] == "app"]
            return row["status"].partition(" ")[0], row["weight"]

        wait_until(lambda: shown()[0] == "UP" or shown()[0] == "no", what="HAProxy has heard")
        with contextlib.ExitStack() as clients:
            for _ in range(2):
                clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            wait_until(lambda: shown()[1] == "100", what="half of its weight")
        wait_until(lambda: shown()[1] == "200", what="its whole weight")
        server.send_signal(signal.SIGTERM)
        wait_until(lambda: shown()[0] == "DRAIN", what="the drain")
