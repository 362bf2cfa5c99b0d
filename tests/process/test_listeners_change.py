"""Several servers in one program, and generations that add, remove and reorder them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket

import pytest
import trustme
from deadlines import DEADLINE_SECONDS
from held_request import HeldRequest
from load_client import ECHO_APPLICATION, Load
from server_harness import free_port, get, get_on, read_response, wait_until

NAMED_APPLICATIONS = """
    def named(name):
        async def app(scope, receive, send):
            assert scope["type"] == "http"
            while (await receive()).get("more_body"):
                pass
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": name})
        return app

    one, two, three = named(b"one"), named(b"two"), named(b"three")
"""


def script(*servers):
    """The program with `servers`: name of the application, port."""
    added = [f'grace.add_server("application:{name}", bind="127.0.0.1:{port}")' for name, port in servers]
    return "\n".join(["import gracehttp", "grace = gracehttp.GraceHTTP(workers=2)", *added, "grace.run()", ""])


def begin(start, *servers, application=NAMED_APPLICATIONS):
    server = start("script.py", files={"application.py": application, "script.py": script(*servers)})
    server.wait_until_serving()
    return server


def test_two_servers_in_one_program_both_answer_before_and_after_a_restart(start):
    one, two = free_port(), free_port()
    server = begin(start, ("one", one), ("two", two))
    for generation in (1, 2):
        assert get(one, "/ping") == (200, "one")
        assert get(two, "/ping") == (200, "two")
        if generation == 1:
            server.restart(2)


def test_ports_that_are_reordered_keep_their_applications(start):
    one, two = free_port(), free_port()
    server = begin(start, ("one", one), ("two", two))
    server.write("script.py", script(("two", two), ("one", one)))
    server.restart(2)
    server.wait_until_gone(1)
    assert get(one) == (200, "one")
    assert get(two) == (200, "two")


def test_a_port_that_new_code_adds_is_served(start):
    one, two = free_port(), free_port()
    server = begin(start, ("one", one))
    with pytest.raises(ConnectionRefusedError):
        get(two)
    server.write("script.py", script(("two", two), ("one", one)))
    server.restart(2)
    assert get(one) == (200, "one")
    assert get(two) == (200, "two")


def test_a_port_that_new_code_leaves_out_is_closed_when_the_old_code_is_gone(start):
    one, two = free_port(), free_port()
    server = begin(start, ("one", one), ("two", two))
    with HeldRequest(two) as held:
        server.write("script.py", script(("one", one)))
        server.restart(2)
        assert f"closed 127.0.0.1:{two}" not in server.log
        assert get(one) == (200, "one")
        status, _headers, body = held.finish()
        assert (status, body) == (200, "two")
    server.wait_for(f"closed 127.0.0.1:{two}")
    with pytest.raises(ConnectionRefusedError):
        get(two)
    with socket.create_server(("127.0.0.1", two)):
        pass


def test_a_port_that_failed_code_wanted_is_closed_again(start):
    one, two = free_port(), free_port()
    server = begin(start, ("one", one))
    server.write("script.py", script(("one", one), ("no_such_application", two)))
    assert server.command("restart").returncode == 1
    with pytest.raises(ConnectionRefusedError):
        get(two)
    assert get(one) == (200, "one")


def test_reordering_adding_and_removing_lose_no_request(start):
    first, kept, last = free_port(), free_port(), free_port()
    server = begin(start, ("app", first), ("app", kept), application=ECHO_APPLICATION)
    with Load(kept, keep_alive=8, reconnecting=8) as staying, Load(first, keep_alive=8, reconnecting=8) as leaving:
        server.write("script.py", script(("app", last), ("app", kept)))
        newest = server.restart(2)
        account = leaving.join()
        staying.wait_for_answers_of(newest)
        with Load(last, keep_alive=8, reconnecting=8) as coming:
            coming.wait_for_answers_of(newest)
    assert account.lost == []
    assert account.refused == 16, "when the port is closed its clients are refused before they said anything"
    assert staying.account.lost == coming.account.lost == []


def test_who_waits_in_the_queue_of_a_port_that_is_left_out_is_served(start):
    one, two = free_port(), free_port()
    full = script(("one", one), ("two", two)).replace(f'{two}"', f'{two}", max_connections=1')
    server = start("script.py", files={"application.py": NAMED_APPLICATIONS, "script.py": full})
    server.wait_until_serving()
    with HeldRequest(two) as held, socket.create_connection(("127.0.0.1", two), timeout=DEADLINE_SECONDS) as queued:
        queued.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        server.write("script.py", script(("one", one)))
        server.restart(2)
        assert held.finish()[2] == "two"
        status, headers, body = read_response(queued)
        assert (status, headers["connection"], body) == (200, "close", b"two")


def test_who_is_between_two_workers_when_a_port_is_left_out_is_answered_and_told(start):
    one, two = free_port(), free_port()
    server = begin(start, ("one", one), ("two", two))
    with contextlib.ExitStack() as clients:
        talking = [
            clients.enter_context(socket.create_connection(("127.0.0.1", two), timeout=DEADLINE_SECONDS))
            for _ in range(10)
        ]
        for client in talking:
            client.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n")
        takers = server.restart(2)
        for pid in takers:
            os.kill(pid, signal.SIGSTOP)
        for client in talking:
            client.sendall(b"x")
            assert read_response(client)[2] == b"two"
        server.wait_until_gone(1)
        server.write("script.py", script(("one", one)))
        server.restart(3)
        for pid in takers:
            os.kill(pid, signal.SIGCONT)
        for client in talking:
            client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            status, headers, body = read_response(client)
            assert (status, headers["connection"], body) == (200, "close", b"two")
    server.wait_for(f"closed 127.0.0.1:{two}")
    assert "lost between" not in server.log


def test_a_port_that_comes_back_while_old_code_drains_is_served(start):
    one, two = free_port(), free_port()
    server = begin(start, ("one", one), ("two", two))
    with HeldRequest(two) as held:
        server.write("script.py", script(("one", one)))
        server.restart(2)
        server.write("script.py", script(("one", one), ("three", two)))
        server.restart(3)
        assert get(two) == (200, "three")
        assert held.finish()[2] == "two"
    server.wait_until_gone(1)
    assert get(two) == (200, "three")


def test_a_unix_socket_that_comes_back_while_old_code_drains_is_served(start, tmp_path):
    one, path = free_port(), tmp_path / "s"
    with_socket = script(("one", one)).replace(
        "grace.run()", f'grace.add_server("application:two", bind="unix:{path}")\ngrace.run()'
    )
    files = {"application.py": NAMED_APPLICATIONS, "script.py": with_socket}
    server = start("script.py", files=files)
    server.wait_until_serving()
    with HeldRequest(one) as held:
        server.write("script.py", script(("one", one)))
        server.restart(2)
        wait_until(lambda: not path.exists(), what="the end of the file")
        server.write("script.py", with_socket)
        server.restart(3)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            assert get_on(client) == (200, "two")
        assert held.finish()[2] == "one"
    server.wait_until_gone(1)
    assert path.exists()


def test_a_plain_connection_goes_on_when_its_port_speaks_tls_from_now_on(start, tmp_path):
    port = free_port()
    server = begin(start, ("one", port))
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS) as idle:
        assert get_on(idle) == (200, "one")
        server.write("script.py", script(("two", port)).replace('")', '", certfile="cert.pem")'))
        server.restart(2)
        server.wait_until_gone(1)
        assert get_on(idle) == (200, "two")
