"""What each metric says is right: checked by value, at the page as Prometheus reads it.

Times are held against the test's own clock on both sides: a metric may not tell less than what lay within it, nor more
than what lay around it. So no speed of a machine matters.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from metrics_page import CHECKED, checks, scrape, scrape_until
from server_harness import DEADLINE_SECONDS, read_response, wait_until

import gracehttp
from gracehttp.supervisor.metrics.catalog import CATALOG

HELD_SECONDS = 0.3
"""How long a test lets something last that is measured. Longer on a slow machine, which the bounds know."""

APPLICATION = """
    import os
    import time
    from pathlib import Path

    HERE = Path(__file__).parent
    if (HERE / "broken").exists():
        raise RuntimeError("this release is broken")
    if (HERE / "slow").exists():
        (HERE / "importing").touch()
        while (HERE / "slow").exists():
            time.sleep(0.01)

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        _, status, size, *what = scope["path"].split("/")
        if what == ["burn"]:
            begun = time.monotonic()
            while time.process_time() < 1.0 or time.monotonic() < begun + 1.6:
                pass
        if what == ["hang"]:
            while True:
                time.sleep(0.01)
        if what == ["cpu"]:
            body = str(sum(os.times()[:2])).encode()
        else:
            body = b"x" * int(size)
        while (await receive()).get("more_body"):
            pass
        fields = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": int(status), "headers": fields})
        await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})
"""
SCRIPT = """
    from pathlib import Path
    import gracehttp

    grace = gracehttp.GraceHTTP(metrics="127.0.0.1:0", **eval(Path("process").read_text()))
    grace.add_server("application:app", **eval(Path("server").read_text()))
    grace.run()
"""

UNDISTURBED = {"log_level": "debug", "hang_timeout": 0}
"""Of the process: each event in the log, and nothing that a slow machine could set off."""
LONG = {"header_timeout": "1h", "body_timeout": "1h", "keep_alive_timeout": "1h"}


def begin(start, *, application=APPLICATION, process=None, **server):
    """A service of one worker, with options of the process and of the server."""
    files = {"application.py": application, "script.py": SCRIPT}
    files |= {
        "process": repr(UNDISTURBED | (process or {})),
        "server": repr({"bind": "127.0.0.1:0", **LONG, **server}),
    }
    running = start("script.py", files=files)
    running.first = running.wait_until_serving()
    running.metrics_port = int(running.wait_for(r"metrics for Prometheus are at \S*?(\d+)$")[1])
    running.listener = f"127.0.0.1:{running.port}"
    return running


class Client(contextlib.AbstractContextManager):
    """A connection that counts what it sends and gets."""

    def __init__(self, server):
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS)
        self.sent = self.received = self.body = 0

    def __exit__(self, *_):
        self._socket.close()

    def sendall(self, data):
        self._socket.sendall(data)
        self.sent += len(data)

    def recv(self, size):
        data = self._socket.recv(size)
        self.received += len(data)
        return data

    def send(self, path="/200/0", method="GET", fields=""):
        self.sendall(f"{method} {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n".encode())

    def answer(self):
        status, _, body = read_response(self)
        self.body += len(body)
        return status, body

    def ask(self, path="/200/0"):
        self.send(path)
        return self.answer()

    def ask_for_head(self, path):
        self.send(path, "HEAD")
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            received += self.recv(1000)

    def hold(self):
        """Begin a request that the application can't finish before `finish`, and wait until it has begun with it."""
        self.send("/200/7", "POST", "Content-Length: 1\r\nExpect: 100-continue\r\n")
        told = b""
        while not told.endswith(b"\r\n\r\n"):
            piece = self.recv(1000)
            assert piece
            told += piece
        assert told == b"HTTP/1.1 100 Continue\r\n\r\n"

    def finish(self):
        self.sendall(b"!")
        return self.answer()


@checks(
    "http_requests_total",
    "http_request_duration_seconds",
    "http_response_body_bytes_total",
    "requests_in_flight",
    "connections_open",
    "connections_idle",
    "connections_accepted_total",
    "received_bytes_total",
    "sent_bytes_total",
)
def test_requests_and_bytes_are_those_that_clients_have_seen(start):
    server = begin(start)
    begun = time.monotonic()
    with Client(server) as one, Client(server) as two:
        assert one.ask("/200/1000")[0] == 200
        assert one.ask("/404/30")[0] == 404
        one.ask_for_head("/200/500")
        two.hold()
        held_at = time.monotonic()

        def connections(page, **right):
            return {name: (page.value(f"connections_{name}", listener=server.listener), right[name]) for name in right}

        scrape_until(
            server,
            lambda page: {
                "in flight": (page.value("requests_in_flight"), 1),
                **connections(page, open=2, idle=1, accepted_total=2),
            },
        )
        time.sleep(HELD_SECONDS)
        least = time.monotonic() - held_at
        assert two.finish() == (200, b"x" * 7)

        def are_counted(page):
            counted = {
                (labels["method"], labels["status"]): page.value("http_requests_total", **labels)
                for labels in page.labels("http_requests_total")
            }
            return {
                "requests": (counted, {("GET", "2xx"): 1, ("GET", "4xx"): 1, ("HEAD", "2xx"): 1, ("POST", "2xx"): 1}),
                "body bytes": (page.value("http_response_body_bytes_total"), one.body + two.body),
                "received": (page.value("received_bytes_total", listener=server.listener), one.sent + two.sent),
                "sent": (page.value("sent_bytes_total", listener=server.listener), one.received + two.received),
                "in flight": (page.value("requests_in_flight"), 0),
                **connections(page, open=2, idle=2, accepted_total=2),
            }

        page = scrape_until(server, are_counted)
        assert one.body + two.body == 1037
        assert page.value("http_request_duration_seconds", "_count") == 4
        assert least < page.value("http_request_duration_seconds", "_sum") < 4 * (time.monotonic() - begun)
        assert page.value("http_request_duration_seconds", "_bucket", le="0.25") <= 3
        assert page.value("http_request_duration_seconds", "_bucket", le="+Inf") == 4
    scrape_until(server, lambda page: connections(page, open=0, idle=0, accepted_total=2))


@checks("connections_limit", "connections_free", "connections_waiting", "connections_shed_total")
def test_a_full_port_shows_who_waits_and_who_had_to_go(start):
    server = begin(start, max_connections=2, shed_idle_after="300ms")

    def port(page, **right):
        return {name: (page.value(f"connections_{name}", listener=server.listener), right[name]) for name in right}

    with Client(server) as one, Client(server) as two:
        scrape_until(server, lambda page: port(page, limit=2, open=2, free=0, waiting=0, shed_total=0))
        one.hold()
        two.hold()
        with Client(server) as waits, Client(server) as waits_too:
            waits.send("/200/3")
            waits_too.send("/200/3")
            scrape_until(server, lambda page: port(page, limit=2, open=2, free=0, waiting=2, shed_total=0))
            one.finish()
            two.finish()
            assert waits.answer() == waits_too.answer() == (200, b"xxx")
            scrape_until(server, lambda page: port(page, limit=2, open=2, free=0, waiting=0, shed_total=2))
            assert one.recv(1) == two.recv(1) == b"", "they were shed"
    scrape_until(server, lambda page: port(page, limit=2, open=0, free=2, waiting=0, shed_total=2))


WSGI_APPLICATION = """
    import time
    from pathlib import Path

    HERE = Path(__file__).parent

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/wait":
            while not (HERE / "door").exists():
                time.sleep(0.01)
        start_response("200 OK", [("content-length", "0")])
        return []
"""


@checks("worker_threads", "worker_threads_busy", "worker_threads_queue_length")
def test_threads_show_how_many_are_busy_and_who_waits_for_one(start):
    server = begin(start, application=WSGI_APPLICATION, process={"threads": 2})

    def threads(page, **right):
        found = {
            "all": page.value("worker_threads"),
            "busy": page.value("worker_threads_busy"),
            "queue": page.value("worker_threads_queue_length"),
            "in_flight": page.value("requests_in_flight"),
        }
        return {name: (found[name], right[name]) for name in right}

    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(Client(server)) for _ in range(5)]
        for client in clients:
            client.ask("/")
        scrape_until(server, lambda page: threads(page, all=2, busy=0, queue=0, in_flight=0))
        for client in clients:
            client.send("/wait")
        scrape_until(server, lambda page: threads(page, all=2, busy=2, queue=3, in_flight=5))
        (server.folder / "door").touch()
        for client in clients:
            assert client.answer()[0] == 200
        scrape_until(server, lambda page: threads(page, all=2, busy=0, queue=0, in_flight=0))


@checks(
    "generation",
    "generations",
    "restarts_total",
    "restart_duration_seconds",
    "connections_handed_over_total",
    "requests_cut_total",
    "drains_total",
    "drain_seconds_total",
    "workers",
    "worker_starts_total",
    "worker_deaths_total",
)
def test_restarts_show_what_they_do_and_how_long_it_takes(start):
    server = begin(start, process={"drain_timeout": "1h"})

    def state(page, generation, generations, workers):
        return {
            "generation": (page.value("generation"), generation),
            "generations": (page.by("state", "generations"), generations),
            "workers": (page.by("state", "workers"), workers),
        }

    with Client(server) as idle, Client(server) as held:
        idle.ask()
        held.hold()
        page = scrape_until(server, lambda page: state(page, 1, {"serving": 1}, {"serving": 1}))
        assert page.value("worker_starts_total") == 1
        assert page.value("restart_duration_seconds", "_count") == 0
        # It is long in coming, and then promoted.
        server.write("slow", "")
        server.write("process", repr(UNDISTURBED | {"drain_timeout": "300ms"}))  # of the generation to come
        asked_at = time.monotonic()
        server.send_signal(signal.SIGHUP)
        wait_until((server.folder / "importing").exists)
        importing_at = time.monotonic()
        both = {"serving": 1, "starting": 1}
        assert scrape_until(server, lambda page: state(page, 1, both, both)).value("worker_starts_total") == 2
        time.sleep(HELD_SECONDS)
        least = time.monotonic() - importing_at
        (server.folder / "slow").unlink()
        server.wait_until_serving(2)
        server.wait_for(r"draining \d connections?, for at most 3600 s")
        draining_at = time.monotonic()
        both = {"serving": 1, "draining": 1}
        page = scrape_until(
            server,
            lambda page: {
                **state(page, 2, both, both),
                "handed over": (page.value("connections_handed_over_total", listener=server.listener), 1),
            },
        )
        assert least < page.value("restart_duration_seconds", "_sum") < time.monotonic() - asked_at
        assert page.value("restart_duration_seconds", "_count") == 1
        assert page.value("restart_duration_seconds", "_bucket", le="0.25") == 0
        assert page.by("outcome", "restarts_total") == {"promoted": 1, "given_up": 0, "rolled_back": 0}
        # The drain ends with the request that was in flight.
        assert page.value("drains_total") == page.value("drain_seconds_total") == 0
        time.sleep(HELD_SECONDS)
        least = time.monotonic() - draining_at
        assert held.finish()[0] == 200
        server.wait_until_gone(1)
        page = scrape_until(server, lambda page: state(page, 2, {"serving": 1}, {"serving": 1}))
        assert page.value("drains_total") == 1
        drained = page.value("drain_seconds_total")
        assert least < drained < time.monotonic() - asked_at
        assert page.value("requests_cut_total") == 0
        # The next one is broken.
        assert page.by("cause", "worker_deaths_total") == {}
        server.write("broken", "")
        server.send_signal(signal.SIGHUP)
        server.wait_for("generation 3 was given up")
        page = scrape_until(server, lambda page: state(page, 2, {"serving": 1}, {"serving": 1}))
        assert page.by("outcome", "restarts_total") == {"promoted": 1, "given_up": 1, "rolled_back": 0}
        assert page.value("restart_duration_seconds", "_count") == 1, "of those that were promoted"
        assert page.value("worker_starts_total") == 3
        assert page.by("cause", "worker_deaths_total") == {"start_failed": 1}
        (server.folder / "broken").unlink()
    with Client(server) as one, Client(server) as two:
        one.hold()
        two.hold()
        server.send_signal(signal.SIGHUP)
        server.wait_until_gone(2)
        page = scrape_until(server, lambda page: state(page, 4, {"serving": 1}, {"serving": 1}))
        assert page.value("requests_cut_total") == 2
        assert page.value("drains_total") == 2
        assert page.value("drain_seconds_total") >= drained + 0.3


@checks("worker_hangs_total", "worker_deaths_total")
def test_a_worker_that_hangs_is_counted(start):
    server = begin(start, process={"hang_timeout": "2s"})
    assert scrape(server).by("kind", "worker_hangs_total") == {}
    with Client(server) as client:
        client.send("/200/0/hang")
        server.wait_for("hung, and was ended")
    page = scrape(server)
    assert page.by("kind", "worker_hangs_total") == {"loop": server.log.count("its event loop hasn't turned")}
    assert page.by("cause", "worker_deaths_total") == {"hung": server.log.count("hung, and was ended")}


def version():
    """What `gracehttp --version` says, in a process that has imported what servers import."""
    command = [sys.executable, "-m", "gracehttp", "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE_SECONDS).stdout


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@checks(
    "worker_cpu_seconds_total",
    "worker_resident_memory_bytes",
    "worker_loop_lag_seconds",
    "supervisor_cpu_seconds_total",
    "supervisor_resident_memory_bytes",
    "start_time_seconds",
    "build_info",
)
def test_processes_use_what_the_kernel_says(start):
    before = time.time()
    begun = time.monotonic()
    server = begin(start)
    (pid,) = server.first
    one = {"worker": "1", "generation": "1"}
    with Client(server) as client:
        client.ask("/200/0/burn")
        # That takes 1.6 s or more, and the loop's next beat was due after one.
        wait_until(lambda: scrape(server).value("worker_loop_lag_seconds", "_sum") >= 0.6)
        least, least_of_the_supervisor = cpu_seconds(pid), cpu_seconds(server.pid)
        page = scrape(server)
        assert 0.9 <= least <= page.value("worker_cpu_seconds_total", **one) <= cpu_seconds(pid)
        ours = page.value("supervisor_cpu_seconds_total")
        assert 0 < least_of_the_supervisor <= ours <= cpu_seconds(server.pid)
    late = page.value("worker_loop_lag_seconds", "_count") - page.value("worker_loop_lag_seconds", "_bucket", le="0.5")
    assert late >= 1
    passed = time.monotonic() - begun
    assert page.value("worker_loop_lag_seconds", "_sum") < passed
    assert page.value("worker_loop_lag_seconds", "_count") <= passed + 1, "one beat a second"
    for found, right in (
        (page.value("worker_resident_memory_bytes", **one), resident_bytes(pid)),
        (page.value("supervisor_resident_memory_bytes"), resident_bytes(server.pid)),
    ):
        assert right / 1.5 < found < right * 1.5
    assert before - 1 < page.value("start_time_seconds") < time.time() + 1
    (build,) = page.labels("build_info")
    assert page.value("build_info", **build) == 1
    assert build["version"] == gracehttp.__version__
    assert build["build"] in version()


@checks("certificate_expiry_time_seconds")
def test_certificates_expire_when_they_say(start, tmp_path):
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    server = begin(start, bind=["127.0.0.1:0", "unix:app.sock"], certfile="cert.pem")
    expires = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).not_valid_after_utc.timestamp()
    page = scrape(server)
    assert page.by("certificate", "certificate_expiry_time_seconds") == {str(tmp_path / "cert.pem"): expires}
    # Of a Unix socket the kernel doesn't tell who waits; so nor do we.
    assert page.by("listener", "connections_limit").keys() - {server.listener} == {"unix:app.sock"}
    assert page.by("listener", "connections_waiting") == {server.listener: 0}


@pytest.mark.parametrize("name", CATALOG)
def test_each_metric_is_checked_by_its_value(name):
    assert name in CHECKED, "no test above would fail if it showed nonsense"
