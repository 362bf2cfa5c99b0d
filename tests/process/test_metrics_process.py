"""The metrics of a running service, as Prometheus reads them: right, whole, and never going back."""

from __future__ import annotations

import os
import signal
import socket

import pytest
from deadlines import DEADLINE_SECONDS
from prometheus_client.parser import text_string_to_metric_families
from server_harness import PID_APPLICATION, get, get_on, wait_until

from gracehttp.cli.control_client import ControlAddress
from gracehttp.cli.live.figures import figures
from gracehttp.cli.live.source import look


def begin(start, *arguments, application=PID_APPLICATION, metrics="127.0.0.1:0"):
    options = ("--bind", "127.0.0.1:0", "--metrics", metrics, *arguments)
    server = start("-m", "gracehttp", "serve", "application:app", *options, files={"application.py": application})
    server.first = server.wait_until_serving()
    server.metrics_port = int(server.wait_for(r"metrics for Prometheus are at \S*?(\d+)$")[1])
    return server


def scrape(server):
    """The samples, by name and labels."""
    status, text = get(server.metrics_port, "/metrics")
    assert status == 200
    return read(text)


def read(text):
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in found, "no series twice"
            found[key] = sample.value
    return found


def requests(samples, status="2xx"):
    return samples.get(("gracehttp_http_requests_total", ("method", "GET"), ("status", status)), 0)


def scrape_when_counted(server, number):
    """The samples, once that many requests are counted: a request is counted when its response is sent."""
    samples = {}

    def are_counted():
        nonlocal samples
        samples = scrape(server)
        return requests(samples) >= number

    wait_until(are_counted)
    assert requests(samples) == number
    return samples


def counters(samples):
    return {key: value for key, value in samples.items() if key[0].endswith(("_total", "_bucket", "_count", "_sum"))}


def never_back(before, after):
    gone = {key for key in before if "worker" in dict(key[1:])}  # of workers that are no more
    assert {key: after.get(key) for key in before if key not in gone and after.get(key, -1) < before[key]} == {}


def test_requests_are_counted_over_all_workers_and_the_text_is_what_prometheus_reads(start):
    server = begin(start, "--workers", "2")
    for _ in range(20):
        assert get(server.port)[0] == 200
    samples = scrape_when_counted(server, 20)
    assert samples[("gracehttp_http_request_duration_seconds_count",)] == 20
    assert samples[("gracehttp_generation",)] == 1
    assert samples[("gracehttp_workers", ("state", "serving"))] == 2
    assert sum(value for key, value in samples.items() if key[0] == "gracehttp_worker_resident_memory_bytes") > 1 << 20


def test_no_counter_goes_back_when_a_worker_is_killed_nor_at_a_restart_nor_when_the_supervisor_is_replaced(start):
    server = begin(start, "--workers", "2")
    for _ in range(10):
        get(server.port)
    before = counters(scrape_when_counted(server, 10))
    os.kill(server.first[0], signal.SIGKILL)
    server.wait_for("was killed by SIGKILL")
    server.wait_for("worker 3 of generation 1 is ready")
    samples = scrape_when_counted(server, 10)
    never_back(before, counters(samples))
    assert samples[("gracehttp_worker_deaths_total", ("cause", "SIGKILL"))] == 1

    before = counters(samples)
    server.send_signal(signal.SIGHUP)
    server.wait_until_serving(2)
    server.wait_until_gone(1)
    get(server.port)
    samples = scrape_when_counted(server, 11)
    never_back(before, counters(samples))
    assert samples[("gracehttp_restarts_total", ("outcome", "promoted"))] == 1
    assert samples[("gracehttp_drains_total",)] == 2

    before = counters(samples)
    server.send_signal(signal.SIGUSR2)
    server.wait_until_serving(3)
    server.wait_until_gone(2)
    get(server.port)
    samples = scrape_when_counted(server, 12)
    never_back(before, counters(samples))
    assert samples[("gracehttp_worker_starts_total",)] >= 7


def test_connections_are_counted_by_listener(start):
    server = begin(start)
    listener = ("listener", f"127.0.0.1:{server.port}")
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as client:
        get_on(client)

        def seen():
            samples = scrape(server)
            return (
                samples[("gracehttp_connections_open", listener)] == 1
                and samples[("gracehttp_connections_idle", listener)] == 1
                and samples[("gracehttp_connections_accepted_total", listener)] == 1
                and samples[("gracehttp_received_bytes_total", listener)] == 30
                and samples[("gracehttp_sent_bytes_total", listener)] > 30
            )

        wait_until(seen)
        samples = scrape(server)
        limit = samples[("gracehttp_connections_limit", listener)]
        assert samples[("gracehttp_connections_free", listener)] == limit - 1
        server.send_signal(signal.SIGHUP)
        server.wait_until_gone(1)
        get_on(client)
        assert scrape(server)[("gracehttp_connections_handed_over_total", listener)] == 1


def test_workers_that_are_forked_from_a_template_count_on_pages_of_their_own(start):
    server = begin(start, "--workers", "3", "--preload")
    for _ in range(12):
        get(server.port)
    scrape_when_counted(server, 12)
    os.kill(server.first[1], signal.SIGKILL)
    server.wait_for("worker 4 of generation 1 is ready")
    scrape_when_counted(server, 12)


def test_metrics_are_served_on_a_unix_socket_whose_file_goes_with_the_service(start, tmp_path):
    path = tmp_path / "metrics.sock"
    options = ("--bind", "127.0.0.1:0", "--metrics", f"unix:{path}")
    files = {"application.py": PID_APPLICATION}
    server = start("-m", "gracehttp", "serve", "application:app", *options, files=files)
    server.wait_until_serving()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE_SECONDS)
        client.connect(str(path))
        assert "gracehttp_generation 1" in get_on(client)[1]
    server.send_signal(signal.SIGTERM)
    server.wait_for("gracehttp stopped")
    server.process.wait(DEADLINE_SECONDS)
    assert not path.exists()


def test_an_address_that_is_taken_is_told_and_nothing_starts(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = ("--bind", "127.0.0.1:0", "--metrics", f"127.0.0.1:{port}")
        files = {"application.py": PID_APPLICATION}
        server = start("-m", "gracehttp", "serve", "application:app", *options, files=files)
        server.wait_for(rf"cannot listen on 127.0.0.1:{port}")
        assert server.process.wait(DEADLINE_SECONDS) == 3


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [(b"POST / HTTP/1.1\r\n\r\n", b"405"), (b"GET / HTTP/1.1\r\nX: " + b"y" * 40000, b"431")],
)
def test_what_is_no_scrape_is_refused(start, request_bytes, status):
    server = begin(start)
    with socket.create_connection(("127.0.0.1", server.metrics_port), timeout=DEADLINE_SECONDS) as client:
        client.sendall(request_bytes)
        assert client.recv(100).startswith(b"HTTP/1.1 " + status)


def test_top_sees_a_running_service(start):
    server = begin(start, "--workers", "2")
    address = ControlAddress(pid=server.pid)
    first = look(address)
    for _ in range(10):
        get(server.port)
    second = look(address)
    found = figures(first.samples, second.samples, 1.0)
    assert found.requests_per_second == 10
    assert len(found.memory_bytes_of) == 2
    assert any("generation 1 serves" in event.sentence for event in second.events)
    assert second.status.pid == server.pid
