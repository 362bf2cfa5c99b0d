"""Applications as people write them, with FastAPI, Starlette, Django and Flask: served, and restarted under load."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

import httpx
import pytest
from deadlines import DEADLINE_SECONDS
from load_client import Load
from load_client import get as request_to
from server_harness import Server, get, read_response, wait_until

APPS = Path(__file__).parents[1] / "apps"
NAMES = ["fastapi_app:app", "starlette_app:app", "django_app:asgi", "django_app:wsgi", "flask_app:app"]
ON_THE_LOOP = ["django_app:wsgi", "flask_app:app"]  # with --threads 0
MEGABYTE = bytes(range(256)) * 4096
PIECE_BYTES = 65536


class Service:
    """One application that is served by two workers for several tests, from restart to restart."""

    def __init__(self, name, folder, *options):
        self.name = name
        arguments = ["-m", "gracehttp", "serve", name, "--app-dir", APPS, "-w", "2", "-b", "127.0.0.1:0", *options]
        self.server = Server(folder, *arguments)
        self.generation = 1
        self.pids = self.server.wait_until_serving()
        self.port = self.server.port

    def restart(self):
        """Returns the PIDs before and after."""
        before = self.pids
        self.generation += 1
        self.pids = self.server.restart(self.generation)
        return before, self.pids

    def wait_for_the_end_of_the_old(self):
        self.server.wait_until_gone(self.generation - 1)

    def client(self):
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=DEADLINE_SECONDS, trust_env=False)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_SECONDS)


@pytest.fixture(
    params=[
        *(pytest.param((name,), id=name) for name in NAMES),
        *(pytest.param((name, "--threads", "0"), id=f"{name}-on-the-loop") for name in ON_THE_LOOP),
    ],
    scope="module",
)
def service(request, tmp_path_factory):
    """What the tests do to it is ordinary, so at the end there must be nothing in its log that looks like a fault."""
    name, *options = request.param
    running = Service(name, tmp_path_factory.mktemp("service"), *options)
    try:
        yield running
        assert running.server.stop() == 0
        assert "ERROR" not in running.server.log
        assert "were cut" not in running.server.log
    finally:
        running.server.end()


def stream_of(pieces):
    return "".join(f"piece {number}\n" for number in range(pieces))


def in_pieces(body):
    for at in range(0, len(body), PIECE_BYTES):
        yield body[at : at + PIECE_BYTES]


def body_for_echo(name):
    """A megabyte, and its type: FastAPI's echo takes a JSON message, the others any bytes."""
    if not name.startswith("fastapi"):
        return MEGABYTE, "application/octet-stream"
    message = {"text": "\N{SNOWMAN}" * (len(MEGABYTE) // 3), "number": 7}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode(), "application/json"


def reads_chunked_bodies(name):
    """Django reads as much as Content-Length says, and behind WSGI takes a body without one for an empty one."""
    return name != "django_app:wsgi"


# --- served ---


def test_workers_of_ours_answer(service):
    with service.client() as client:
        assert int(client.get("/pid").text) in service.pids
        assert client.get("/nothing-here").status_code == 404


def test_a_megabyte_comes_back_as_it_was_sent(service):
    body, kind = body_for_echo(service.name)
    with service.client() as client:
        assert client.post("/echo", content=body, headers={"Content-Type": kind}).content == body
        if reads_chunked_bodies(service.name):
            assert client.post("/echo", content=in_pieces(body), headers={"Content-Type": kind}).content == body


def test_a_stream_arrives_piece_by_piece(service):
    with service.client() as client:
        assert client.get("/stream?pieces=500").text == stream_of(500)
        with client.stream("GET", "/stream?pieces=3&seconds=0.2") as response:
            assert next(response.iter_text()) == "piece 0\n"


# --- restarted ---


def test_several_restarts_under_load_lose_nothing(service):
    request = request_to("/pid")
    staying = Load(service.port, keep_alive=2, request=request)
    coming = Load(service.port, reconnecting=1, request=request)
    with staying, coming:
        for _ in range(3):
            _, pids = service.restart()
            staying.wait_for_answers_of(pids)
            coming.wait_for_answers_of(pids)
    assert staying.account.lost + coming.account.lost == []
    assert staying.account.refused + coming.account.refused == 0
    assert staying.account.connections == 2, "they go on through all restarts"


def test_what_is_in_flight_at_a_restart_is_finished(service):
    with service.client() as client, service.connect() as slow, service.connect() as upload:
        slow.sendall(b"GET /slow?seconds=1 HTTP/1.1\r\nHost: test\r\n\r\n")
        send_rest_of_upload = begin_upload(service, upload)
        with client.stream("GET", "/stream?pieces=20&seconds=0.05") as download:
            pieces = download.iter_text()
            downloaded = next(pieces)
            old, new = service.restart()
            downloaded += "".join(pieces)
        assert downloaded == stream_of(20)
        assert read_response(slow)[0] == 200
        assert send_rest_of_upload() == body_for_echo(service.name)[0]

        service.wait_for_the_end_of_the_old()
        slow.sendall(b"GET /pid HTTP/1.1\r\nHost: test\r\n\r\n")
        assert int(read_response(slow)[2]) in set(new) - set(old), "on the same connection"


def begin_upload(service, sock):
    """Send a part of a megabyte. Returns a function that sends the rest and returns the body of the answer."""
    body, kind = body_for_echo(service.name)
    chunked = reads_chunked_bodies(service.name)
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    sock.sendall(f"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n".encode())
    pieces = in_pieces(body)

    def send(piece):
        sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)

    send(next(pieces))

    def send_rest():
        for piece in pieces:
            send(piece)
        if chunked:
            sock.sendall(b"0\r\n\r\n")
        status, _, answer = read_response(sock)
        assert status == 200
        return answer

    return send_rest


# --- what only some can do ---


@pytest.mark.parametrize("name", ["starlette_app:app", "flask_app:app"])
def test_a_file_is_sent_whole_or_in_part(start, name):
    server = start("-m", "gracehttp", "serve", name, "--app-dir", APPS, "-b", "127.0.0.1:0")
    source = (APPS / f"{name.partition(':')[0]}.py").read_bytes()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=DEADLINE_SECONDS, trust_env=False) as client:
        whole = client.get("/file")
        assert whole.content == source
        assert int(whole.headers["content-length"]) == len(source)
        assert client.head("/file").headers["content-length"] == str(len(source))
        part = client.get("/file", headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, source[10:20])


def test_what_the_lifespan_left_in_its_state_is_there_in_each_request(start):
    server = start(
        *("-m", "gracehttp", "serve", "fastapi_app:app", "--app-dir", APPS, "-b", "127.0.0.1:0", "--lifespan", "on")
    )
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=DEADLINE_SECONDS, trust_env=False) as client:
        home = client.get("/").json()
    assert home["started_in"] == home["pid"]
    assert [home["pid"]] == server.wait_until_serving()


# --- work that outlives its response ---

BACKGROUND = """
    import asyncio
    from pathlib import Path

    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def work():
        while not Path("may-end").exists():
            await asyncio.sleep(0.01)
        Path("done").touch()

    async def begin(request):
        return PlainTextResponse("begun", background=BackgroundTask(work))

    app = Starlette(routes=[Route("/", begin)])
"""


def begin_background_task(start, *options):
    files = {"work.py": BACKGROUND}
    server = start("-m", "gracehttp", "serve", "work:app", "-w", "2", "-b", "127.0.0.1:0", *options, files=files)
    server.wait_until_serving()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=DEADLINE_SECONDS, trust_env=False) as client:
        assert client.get("/").text == "begun"
    return server


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM], ids=["restart", "stop"])
def test_a_background_task_that_outlives_its_response_is_waited_for(start, number):
    server = begin_background_task(start)
    server.send_signal(number)
    server.wait_for("drained in", count=1)  # the worker without the task
    assert not (server.folder / "done").exists()
    (server.folder / "may-end").touch()
    server.wait_for("drained in", count=2)
    assert (server.folder / "done").exists()


def test_a_background_task_that_outlives_the_drain_timeout_does_not_keep_the_service(start):
    server = begin_background_task(start, "--drain-timeout", "300ms")
    assert server.stop() == 0
    assert not (server.folder / "done").exists()


# --- an application that asks its process to exit ---

EXITING = """
    import asyncio
    import os
    import sys
    from pathlib import Path

    from starlette.applications import Starlette
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def exit(request):
        sys.exit(3)

    async def wait(request):
        Path("waits").touch()
        while not Path("may-end").exists():
            await asyncio.sleep(0.01)
        return PlainTextResponse(str(os.getpid()))

    async def in_a_task_of_its_own(request, call_next):
        return await call_next(request)

    app = Starlette(routes=[Route("/exit", exit), Route("/wait", wait)])
    app.add_middleware(BaseHTTPMiddleware, dispatch=in_a_task_of_its_own)
"""


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_exit_in_a_task_of_a_request_ends_that_request_alone(start, loop):
    server = start(
        *("-m", "gracehttp", "serve", "exiting:app", "-b", "127.0.0.1:0", "--loop", loop),
        files={"exiting.py": EXITING},
    )
    (pid,) = server.wait_until_serving()
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as waiting:
        waiting.sendall(b"GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
        wait_until((server.folder / "waits").exists, what="a request in flight")
        assert get(server.port, "/exit")[0] == 500
        server.wait_for("a task of the application raised SystemExit; only that task ended")
        (server.folder / "may-end").touch()
        assert int(read_response(waiting)[2]) == pid
    assert server.stop() == 0
