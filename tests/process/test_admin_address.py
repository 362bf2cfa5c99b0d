"""Health checks at an address of their own, which the supervisor answers."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import time

import pytest
import trustme
from cryptography import x509
from deadlines import DEADLINE_SECONDS
from server_harness import PID_APPLICATION, get, read_response, wait_until

HANGING = """
    import time

    async def app(scope, receive, send):
        if scope["path"] == "/hang":
            time.sleep(3600)
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})
"""


def serve(start, *options, application=PID_APPLICATION):
    server = start(
        *("-m", "gracehttp", "serve", "main:app", "-b", "127.0.0.1:0", "--admin", "127.0.0.1:0", *options),
        files={"main.py": application},
    )
    server.wait_until_serving()
    return server, admin_port(server)


def admin_port(server):
    return int(server.wait_for(r"answering health checks at \S+:(\d+)")[1])


def ask(port, request):
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS) as sock:
        sock.sendall(request)
        return read_response(sock)


def test_the_supervisor_answers_there_and_the_ports_are_the_applications_alone(start):
    server, admin = serve(start, "--ready-path", "/r")
    assert get(admin, "/livez") == (200, "ok\n")
    assert get(admin, "/r?x=1") == (200, "ok\n")
    assert get(server.port, "/livez")[1] in map(str, server.workers())


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"HEAD /livez HTTP/1.1\r\n\r\n", None),
        (b"GET /livez HTTP/1.0\n\n", 200),
        (b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"POST /livez HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi", 405),
        (b"\x16\x03\x01\x02\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nA: " + 9000 * b"a", 431),
    ],
)
def test_only_get_and_head_are_understood(start, request_, status):
    _, admin = serve(start)
    if status is not None:
        assert ask(admin, request_)[0] == status
        return
    with socket.create_connection(("127.0.0.1", admin)) as sock:
        sock.sendall(request_)
        answer = b"".join(iter(lambda: sock.recv(1000), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert answer.endswith(b"\r\n\r\n")


def test_it_does_not_live_when_no_worker_answers(start):
    server, admin = serve(start, "-w", "2", application=HANGING)
    assert get(admin, "/livez")[0] == 200
    with contextlib.ExitStack() as clients:

        def hangs():
            sock = clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            sock.sendall(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
            return get(admin, "/livez")[0] == 503

        wait_until(hangs, what="both workers hang")
        assert get(admin, "/livez") == (503, "no worker answered for 5 s\n")


def test_during_the_stop_delay_and_the_drain_it_says_stopping(start):
    server, admin = serve(start, "--stop-delay", "1h")
    server.send_signal(signal.SIGTERM)
    server.wait_for("stop requested")
    assert get(admin, "/readyz") == (503, "stopping\n")
    assert get(admin, "/livez") == (200, "ok\n")


def test_it_answers_before_the_first_worker_is_ready_and_stays_through_restarts_and_a_new_supervisor(start):
    code = "import time\nwhile not __import__('os').path.exists('go'): time.sleep(0.02)\n"
    server = start(
        *("-m", "gracehttp", "serve", "main:app", "-b", "127.0.0.1:0", "--admin", "127.0.0.1:0"),
        files={"main.py": code},
    )
    server.write("main.py", code + "async def app(scope, receive, send): pass\n")
    admin = admin_port(server)
    assert get(admin, "/livez") == (200, "ok\n"), "a worker is starting"
    assert get(admin, "/readyz") == (503, "no worker serves\n")
    server.write("go", "")
    server.wait_until_serving()
    assert get(admin, "/readyz")[0] == 200
    server.restart(2)
    assert get(admin, "/readyz")[0] == 200
    server.send_signal(signal.SIGUSR2)
    server.wait_until_serving(3)
    assert get(admin, "/readyz")[0] == 200
    assert get(admin, "/livez")[0] == 200
    assert server.stop() == 0
    with pytest.raises(ConnectionRefusedError):
        get(admin)


def test_clients_that_say_nothing_keep_no_one_out_for_long(start):
    _, admin = serve(start)
    started = time.monotonic()
    with contextlib.ExitStack() as silent:
        for _ in range(64):
            silent.enter_context(socket.create_connection(("127.0.0.1", admin)))
        assert ask_patiently(admin) == 200
        assert time.monotonic() - started > 5, "it waited for one of them to be closed"


def ask_patiently(port):
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS) as sock:
        sock.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
        return read_response(sock)[0]


def test_it_can_be_a_unix_socket_that_is_gone_in_the_end(start, tmp_path):
    path = tmp_path / "admin.sock"
    server = start(
        *("-m", "gracehttp", "serve", "main:app", "-b", "127.0.0.1:0", "--admin", f"unix:{path}"),
        files={"main.py": PID_APPLICATION},
    )
    server.wait_until_serving()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(os.fspath(path))
        sock.sendall(b"GET /readyz HTTP/1.1\r\n\r\n")
        assert read_response(sock)[0] == 200
    server.stop()
    assert not path.exists()


def test_an_address_that_is_taken_is_a_failed_start_with_a_reason(start):
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = start(
            *("-m", "gracehttp", "serve", "main:app", "--admin", f"127.0.0.1:{other.getsockname()[1]}", "-p", "a.pid"),
            files={"main.py": PID_APPLICATION},
        )
        assert server.wait() == 3
    assert re.search(r"cannot listen on 127.0.0.1:\d+: it is in use", server.log)
    assert not (server.folder / "a.pid").exists()


def test_new_code_that_wants_another_address_is_told_that_the_supervisor_keeps_its_own(start):
    program = """
        import gracehttp, sys
        program = gracehttp.GraceHTTP(admin=open("admin").read())
        program.add_server("main:app", bind="127.0.0.1:0")
        program.run()
    """
    server = start("run.py", files={"main.py": PID_APPLICATION, "run.py": program, "admin": "127.0.0.1:0"})
    server.wait_until_serving()
    server.write("admin", "127.0.0.1:1")
    server.send_signal(signal.SIGHUP)
    server.wait_for(r"another admin \(127.0.0.1:1\): the supervisor keeps what it has \(127.0.0.1:0\)")


def test_the_metrics_are_there_too_and_workers_count_for_them(start, tmp_path):
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    server, admin = serve(start, "-b", "https://127.0.0.2:0?certfile=cert.pem")
    for _ in range(3):
        assert get(server.port)[0] == 200

    def scrape():
        with socket.create_connection(("127.0.0.1", admin), timeout=DEADLINE_SECONDS) as sock:
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            head, _, body = b"".join(iter(lambda: sock.recv(65536), b"")).partition(b"\r\n\r\n")
        return head, body

    # A request is counted when its response has been sent, so the client may have it before that.
    wait_until(lambda: b'gracehttp_http_requests_total{method="GET",status="2xx"} 3\n' in scrape()[1])
    head, body = scrape()
    assert b"Content-Type: text/plain; version=0.0.4" in head
    expires = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).not_valid_after_utc.timestamp()
    (line,) = re.findall(rb"^gracehttp_certificate_expiry_time_seconds\{.*$", body, re.MULTILINE)
    assert line.startswith(b'gracehttp_certificate_expiry_time_seconds{certificate="%s/cert.pem"}' % bytes(tmp_path))
    assert float(line.split()[-1]) == expires


def test_health_checks_are_no_requests_in_the_metrics(start):
    _, admin = serve(start)
    assert get(admin, "/livez")[0] == get(admin, "/readyz")[0] == 200
    assert "gracehttp_http_requests_total{" not in get(admin, "/metrics")[1]


def test_ports_answer_on_while_new_code_asks_for_an_address_that_the_supervisor_does_not_have(start):
    options = 'app = "main:app"\nbind = "127.0.0.1:0"\nready_path = "/r"\n'
    server = start(*("-m", "gracehttp", "serve", "-c", "g.toml"), files={"main.py": PID_APPLICATION, "g.toml": options})
    server.wait_until_serving()
    assert get(server.port, "/r") == (200, "ok\n")
    server.write("g.toml", options + 'admin = "127.0.0.1:0"\n')
    server.restart(2)
    assert get(server.port, "/r") == (200, "ok\n")
    server.send_signal(signal.SIGUSR2)
    server.wait_until_serving(3)
    assert get(server.port, "/r") == (200, "ok\n"), "the next image keeps what the first one had"
