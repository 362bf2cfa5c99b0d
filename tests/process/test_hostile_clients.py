"""Many clients that want to wear a worker out: its memory and descriptors stay within bounds, and others are served on.

What each of them gets as an answer, test_bad_input_process tells; here they come in numbers, and stay.
"""

from __future__ import annotations

import contextlib
import re
import resource
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from server_harness import DEADLINE_SECONDS, get, get_on, read_response, wait_until

APPLICATION = """
    async def app(scope, receive, send):
        assert scope["type"] == "http"
        size, more = 0, True
        while more and scope["method"] == "POST":
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size += len(message["body"])
            more = message.get("more_body", False)
        if scope["path"] == "/large":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(1000):
                await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
            await send({"type": "http.response.body"})
            return
        body = str(size).encode()
        headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
"""
MIB = 1 << 20
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
NORMAL_ANSWERS = 20
"""That the normal client gets while the hostile ones are there."""


class Worker:
    """The only one of its server, and what it uses."""

    def __init__(self, server):
        self.server = server
        self.port = server.port
        (self.pid,) = server.wait_until_serving()
        self.normal = self.connect()
        self.served_on()
        wait_until(lambda: server.status()["listeners"][0]["open_connections"] == 1, what="the end of all but one")
        self.descriptors = self.count_descriptors()

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def count_descriptors(self):
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def memory(self, what):
        """VmRSS, or VmHWM, the most that it ever was (proc_pid_status(5)), in bytes."""
        return 1024 * int(re.search(rf"{what}:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())[1])

    @contextlib.contextmanager
    def grows_by_at_most(self, size):
        """Not even for a moment more: the peak counts. At the end no descriptor is left of what came in the block."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # the peak is what it is now (proc_pid_clear_refs(5))
        before = self.memory("VmRSS")
        yield
        grown = self.memory("VmHWM") - before
        assert grown <= size, f"{grown / MIB:.1f} MiB"
        wait_until(lambda: self.count_descriptors() <= self.descriptors, what="the end of all descriptors")
        self.served_on()

    def served_on(self):
        """A client that does no harm gets its answers, on the connection that it has and on new ones."""
        for _ in range(NORMAL_ANSWERS):
            assert get_on(self.normal) == (200, "0")
        assert get(self.port, timeout=DEADLINE_SECONDS) == (200, "0")


@pytest.fixture
def begin(start):
    workers = []

    def begin(*options):
        arguments = ("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0", "--no-access-log", *options)
        workers.append(Worker(start(*arguments, files={"application.py": APPLICATION})))
        return workers[-1]

    yield begin
    for worker in workers:
        worker.normal.close()


@contextlib.contextmanager
def many(worker, count):
    with contextlib.ExitStack() as ends:
        yield [ends.enter_context(worker.connect()) for _ in range(count)]


def read_to_end(sock):
    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(65536):
            received += piece
    return received


def trickle(sock, pieces):
    """Send a piece now and then until the server has ended its half; returns all that it has sent."""
    received = b""
    sock.settimeout(0.05)  # how slow the client is
    for piece in pieces:
        try:
            sock.sendall(piece)
            received += (found := sock.recv(65536))
            if not found:
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    return received


def test_heads_that_trickle_are_ended_in_time(begin):
    worker = begin("--header-timeout", "2s")
    with worker.grows_by_at_most(8 * MIB), many(worker, 200) as slow:
        answers = [None] * len(slow)

        def client(number):
            answers[number] = trickle(slow[number], [b"GET / HTTP/1.1\r\n", *[b"X"] * 5000])

        threads = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(len(slow))]
        for thread in threads:
            thread.start()
        worker.served_on()
        for thread in threads:
            thread.join(DEADLINE_SECONDS)
            assert not thread.is_alive(), "a client that sends a byte at a time is never ended"
    assert all(one.startswith(b"HTTP/1.1 408 ") for one in answers), answers


def test_bodies_that_stop_are_ended_in_time(begin):
    worker = begin("--body-timeout", "2s")
    with worker.grows_by_at_most(8 * MIB), many(worker, 200) as slow:
        for sock in slow:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc")
        worker.served_on()
        assert {read_to_end(sock)[:13] for sock in slow} == {b"HTTP/1.1 408 "}


def test_bodies_that_trickle_cost_no_memory(begin):
    """They have no deadline as a whole: a slow line is no attack. What they hold is a descriptor and little else."""
    worker = begin()
    with worker.grows_by_at_most(8 * MIB), many(worker, 200) as slow:
        for sock in slow:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(50):
            for sock in slow:
                sock.sendall(b"1\r\na\r\n")
        worker.served_on()
        for sock in slow:
            sock.sendall(b"0\r\n\r\n")
            status, _, body = read_response(sock)
            assert (status, body) == (200, b"50")


def test_clients_that_read_nothing_are_ended_in_time(begin):
    worker = begin("--body-timeout", "2s")
    with worker.grows_by_at_most(40 * MIB), many(worker, 100) as slow:
        for sock in slow:
            sock.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        worker.served_on()
        wait_until(lambda: worker.count_descriptors() <= worker.descriptors, what="the end of those that read nothing")


def test_heads_without_end_are_refused_and_what_follows_is_discarded(begin):
    """For half a minute at most (`net/ending.py`): many clients read the answer only when they have sent all."""
    worker = begin()
    answers = []

    def client(sock):
        with contextlib.suppress(ConnectionError):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
            for _ in range(500):
                sock.sendall(b"X-Name: value\r\n" * 1000)
        answers.append(read_to_end(sock))

    with worker.grows_by_at_most(16 * MIB), many(worker, 50) as endless:
        threads = [threading.Thread(target=client, args=(sock,), daemon=True) for sock in endless]
        for thread in threads:
            thread.start()
        worker.served_on()
        for thread in threads:
            thread.join(DEADLINE_SECONDS)
            assert not thread.is_alive()
    assert {answer[:13] for answer in answers} == {b"HTTP/1.1 431 "}


PIPELINED = 100_000


def send_pipelined(sock):
    with contextlib.suppress(OSError):
        sock.sendall(GET * PIPELINED)


def test_a_hundred_thousand_requests_in_one_write_are_answered_one_by_one(begin):
    worker = begin()
    with worker.grows_by_at_most(16 * MIB), many(worker, 1) as (sock,):
        sending = threading.Thread(target=send_pipelined, args=(sock,), daemon=True)
        sending.start()
        answers, normal, rest = 0, 0, b""
        while answers < PIPELINED:
            piece = sock.recv(1 << 20)
            assert piece, f"closed after {answers} answers"
            rest += piece
            answers += rest.count(b"HTTP/1.1 200 ")
            rest = rest[-12:] if b"HTTP/1.1 200 " in rest else rest  # where a head may be cut
            if answers < PIPELINED and answers // (PIPELINED // 50) > normal:
                assert get_on(worker.normal) == (200, "0")
                normal += 1
        assert answers == PIPELINED
        assert normal > 10, "the others are served on"
        sending.join(DEADLINE_SECONDS)


def test_requests_whose_answers_are_not_read_stop_being_read(begin):
    worker = begin("--body-timeout", "2s")
    with worker.grows_by_at_most(16 * MIB), many(worker, 3) as greedy:
        threads = [threading.Thread(target=send_pipelined, args=(sock,), daemon=True) for sock in greedy]
        for thread in threads:
            thread.start()
        worker.served_on()
        wait_until(lambda: worker.count_descriptors() <= worker.descriptors, what="the end of those that read nothing")
    for thread in threads:
        thread.join(DEADLINE_SECONDS)


def test_a_thousand_idle_connections_cost_little(begin):
    """Half of them have asked once; the others have said nothing yet."""
    count = 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4 * count:
        pytest.skip(f"no more than {hard} open files are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4 * count), hard))
    try:
        worker = begin("--header-timeout", "60s")
        with worker.grows_by_at_most(count * 10_000 + 4 * MIB), many(worker, count) as idle:
            for sock in idle[: count // 2]:
                assert get_on(sock)[0] == 200
            wait_until(lambda: worker.count_descriptors() >= worker.descriptors + count, what="all connections")
            worker.served_on()
            for sock in idle:
                assert get_on(sock)[0] == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


MODES = {
    "slow-heads": ("-H", "-i", "1", "-x", "8"),
    "slow-bodies": ("-B", "-i", "1", "-x", "8", "-s", "8192"),
    "slow-readers": ("-X", "-n", "1", "-z", "16", "-w", "256", "-y", "512", "-k", "3"),
}


@pytest.mark.parametrize("mode", MODES)
def test_slowhttptest(begin, mode):
    """The tool asks by itself whether the server answers others meanwhile."""
    program = shutil.which("slowhttptest")
    if program is None:
        pytest.skip("slowhttptest is not installed")
    worker = begin("--header-timeout", "2s", "--body-timeout", "2s")
    path = "large" if mode == "slow-readers" else ""
    command = [program, *MODES[mode], "-c", "200", "-r", "200", "-l", "6", "-p", "20", "-v", "1"]
    with worker.grows_by_at_most(48 * MIB):
        with subprocess.Popen(
            [*command, "-u", f"http://127.0.0.1:{worker.port}/{path}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as attack:
            try:
                wait_until(lambda: worker.count_descriptors() >= worker.descriptors + 50, what="the attack")
                worker.served_on()
                told, _ = attack.communicate(timeout=2 * DEADLINE_SECONDS)
            finally:
                attack.kill()
        assert "service available:" in told, told
        assert not re.search(r"service available:\S*\s+\S*NO", told), told
