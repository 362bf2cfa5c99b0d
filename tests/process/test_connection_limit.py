"""The limit on the open connections of a port, over all workers and generations, as the kernel counts (promise 5)."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from deadlines import DEADLINE_SECONDS
from load_client import ECHO_APPLICATION, Load
from load_client import get as request
from server_harness import PID_APPLICATION, get, get_on, read_response, wait_until
from sockets_of_port import accepted, accepted_at_one_moment, waiting

LIMIT = 100
CLIENTS = 300

SCRIPT = """
    import gracehttp

    grace = gracehttp.GraceHTTP(workers=2)
    grace.add_server("application:app", bind="127.0.0.1:0", max_connections={limit}, shed_idle_after="0s")
    grace.run()
"""


def begin(start, limit=LIMIT, **options):
    files = {"application.py": ECHO_APPLICATION, "script.py": SCRIPT.format(limit=limit)}
    server = start("script.py", files=files, **options)
    server.first = server.wait_until_serving()
    return server


def open_connections(server):
    return server.status()["listeners"][0]["open_connections"]


@pytest.fixture
def crowd():
    """Clients that have all sent a request, whether they are accepted or not."""
    with contextlib.ExitStack() as opened:

        def gather(port, size):
            clients = []
            for _ in range(size):
                clients.append(
                    opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS))
                )
                clients[-1].sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            return clients

        yield gather


def answered(clients):
    """Those of `clients` that have something to read."""
    poll = select.poll()
    by_descriptor = {client.fileno(): client for client in clients}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    return [by_descriptor[descriptor] for descriptor, _ in poll.poll(0)]


def wait_until_accepted(port, count):
    wait_until(lambda: len(accepted(port)) == count, what=f"{count} accepted connections")


def wait_until_waiting(port, count):
    wait_until(lambda: waiting(port) == count, what=f"{count} waiting connections")


def test_exactly_as_many_connections_are_accepted_as_the_limit_says(start, crowd):
    server = begin(start)
    clients = crowd(server.port, CLIENTS)
    wait_until(lambda: len(answered(clients)) == LIMIT, what="the answers of the accepted ones")
    wait_until_accepted(server.port, LIMIT)
    wait_until_waiting(server.port, CLIENTS - LIMIT)
    assert open_connections(server) == LIMIT


def test_the_limit_holds_after_connections_that_came_and_went_within_a_wake_up(start, crowd):
    """Their permits pass from one to the next within the worker, and come back when the wake-up ends."""
    server = begin(start)
    for pid in server.first:
        os.kill(pid, signal.SIGSTOP)
    with contextlib.ExitStack() as opened:
        brief = []
        for _ in range(LIMIT):  # with their requests, they wait for the workers
            client = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS)
            brief.append(opened.enter_context(client))
            client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        for pid in server.first:
            os.kill(pid, signal.SIGCONT)
        for client in brief:
            while client.recv(65536):
                pass
    wait_until(lambda: open_connections(server) == 0)
    crowd(server.port, CLIENTS)
    wait_until_accepted(server.port, LIMIT)
    assert accepted_at_one_moment(server.port) == LIMIT


def test_the_rest_are_served_as_places_come_free(start, crowd):
    server = begin(start)
    clients = crowd(server.port, CLIENTS)
    served = 0
    while clients:
        wait_until(lambda: len(answered(clients)) == min(LIMIT, len(clients)), what="a full house")
        assert len(accepted(server.port)) <= LIMIT
        for client in answered(clients):
            assert read_response(client)[0] == 200
            client.close()
            clients.remove(client)
            served += 1
    assert served == CLIENTS


class Sampler:
    """Looks all the time how many connections are open together; `most` is the largest number ever seen."""

    def __init__(self, port):
        self.most = 0
        self.samples = 0
        self._port = port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, error, traceback):
        self._over.set()
        self._thread.join()

    def _watch(self):
        while not self._over.wait(0.005):
            self.most = max(self.most, accepted_at_one_moment(self._port))
            self.samples += 1


def test_the_limit_is_never_exceeded_while_generations_overlap(start):
    server = begin(start)
    load = Load(server.port, keep_alive=LIMIT // 2, reconnecting=CLIENTS - LIMIT // 2, request=request("/300ms"))
    with Sampler(server.port) as sampler, load:
        for generation in range(2, 5):
            newest = server.restart(generation)
            load.wait_for_answers_of(newest)
            assert open_connections(server) <= LIMIT
    assert sampler.samples > 20
    assert LIMIT / 2 < sampler.most <= LIMIT
    assert load.account.lost == []


def test_idle_connections_count_on_through_a_restart(start, crowd):
    server = begin(start)
    clients = crowd(server.port, LIMIT)
    wait_until(lambda: len(answered(clients)) == LIMIT)
    late = crowd(server.port, 1)
    server.restart(2)
    server.restart(3)
    wait_until_accepted(server.port, LIMIT)
    wait_until_waiting(server.port, 1)
    clients[0].close()
    assert read_response(late[0])[0] == 200


def test_a_worker_that_is_killed_gives_its_places_back(start, crowd):
    server = begin(start)
    crowd(server.port, CLIENTS)
    wait_until_accepted(server.port, LIMIT)
    for worker in server.first:
        os.kill(worker, signal.SIGKILL)
        wait_until_accepted(server.port, LIMIT)
    server.wait_for("is ready", count=4)
    wait_until_accepted(server.port, LIMIT)
    assert open_connections(server) == LIMIT


def test_a_higher_limit_in_new_code_holds_at_once(start, crowd):
    server = begin(start)
    crowd(server.port, CLIENTS)
    wait_until_accepted(server.port, LIMIT)
    server.write("script.py", SCRIPT.format(limit=LIMIT + 50))
    server.restart(2)
    wait_until_accepted(server.port, LIMIT + 50)
    server.wait_for(f"the limit changed from {LIMIT} to {LIMIT + 50} connections")


def test_a_lower_limit_in_new_code_holds_as_connections_close(start, crowd):
    server = begin(start)
    clients = crowd(server.port, CLIENTS)
    wait_until_accepted(server.port, LIMIT)
    server.write("script.py", SCRIPT.format(limit=10))
    server.restart(2)
    done = 0
    while len(clients) > 10:
        for client in answered(clients):
            assert read_response(client)[0] == 200
            client.close()
            clients.remove(client)
            done += 1
            if len(clients) <= 10:
                break
        wait_until(lambda: len(answered(clients)) >= min(10, len(clients)), what="the next ones")
    assert done == CLIENTS - 10
    more = crowd(server.port, 50)
    wait_until_accepted(server.port, 10)
    wait_until_waiting(server.port, 50)
    assert answered(more) == []


def test_the_limit_is_lowered_to_what_the_system_allows_and_the_figure_is_printed(start, crowd):
    server = begin(start, limit=1000, most_files=200)
    server.wait_for("the limit of 1000 connections is lowered to 150, because a process may open 200 files")
    crowd(server.port, CLIENTS)
    wait_until_accepted(server.port, 150)
    assert "accept() failed" not in server.log


HOARDER = """
    import asyncio
    import os

    hoard = []

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        match scope["path"]:
            case "/take-all":
                try:
                    while True:
                        hoard.append(os.dup(0))
                except OSError:
                    pass
            case "/give-back":
                for descriptor in hoard:
                    os.close(descriptor)
            case "/one-second":
                await asyncio.sleep(1)
        body = str(os.getpid()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""


def busy_seconds(pid):
    """How long a process has run so far, or waited for a processor to run on (proc(5)): all but its sleep."""
    ran, waited, _slices = map(int, Path(f"/proc/{pid}/schedstat").read_text().split())
    return (ran + waited) / 1e9


def test_a_worker_without_free_descriptors_pauses_and_goes_on_when_there_are_some(start):
    files = {"application.py": HOARDER}
    server = start("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0", files=files, most_files=200)
    (worker,) = server.wait_until_serving()
    address = ("127.0.0.1", server.port)
    with socket.create_connection(address, timeout=DEADLINE_SECONDS) as inside:
        assert get_on(inside, "/take-all")[0] == 200
        with socket.create_connection(address, timeout=DEADLINE_SECONDS) as outside:
            outside.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            server.wait_for(r"accept\(\) failed \(Too many open files\)")
            began, before = time.monotonic(), busy_seconds(worker)
            assert get_on(inside, "/one-second")[0] == 200
            assert busy_seconds(worker) - before < 0.7 * (time.monotonic() - began), "it spins"
            assert answered([outside]) == []
            assert get_on(inside, "/give-back")[0] == 200
            assert read_response(outside)[0] == 200
    assert server.log.count("accept() failed") == 1


def test_a_full_port_does_not_keep_others_from_being_served(start, crowd):
    script = SCRIPT.format(limit=10).replace(
        "grace.run()", 'grace.add_server("other:app", bind="localhost:0", max_connections=10)\n    grace.run()'
    )
    files = {"application.py": ECHO_APPLICATION, "other.py": PID_APPLICATION, "script.py": script}
    server = start("script.py", files=files)
    server.wait_until_serving()
    full, other = server.ports
    crowd(full, 20)
    wait_until_accepted(full, 10)
    for _ in range(30):
        assert get(other)[0] == 200
