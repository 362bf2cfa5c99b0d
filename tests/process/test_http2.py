"""HTTP/2 with real processes: clients that are none of ours, restarts under load, and a stop while streams are open."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess

import httpx
import pytest
import trustme
from deadlines import DEADLINE_SECONDS
from http2_client import Http2Connection, Http2Load
from server_harness import PID_APPLICATION, wait_until
from tls_client import context_for

AUTHORITY = trustme.CA()

APPLICATION = """
    import asyncio
    import os

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        headers = [(b"content-type", b"text/plain"), (b"X-Version", scope["http_version"].encode())]
        if scope["path"] == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            while not os.path.exists("release"):
                await asyncio.sleep(0.01)
            await send({"type": "http.response.body", "body": b" and whole"})
            await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})
            return
        if scope["path"] == "/large":
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"a" * 5_000_000})
            return
        body = b"%d %s" % (size, scope["http_version"].encode())
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
"""
WSGI = """
    def app(environ, start_response):
        size = len(environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d %s" % (size, environ["SERVER_PROTOCOL"].encode())]
"""


@pytest.fixture
def begin(start, tmp_path):
    def begin(application=APPLICATION, *options, secure=True, **settings):
        if secure:
            issued = AUTHORITY.issue_cert("localhost", "127.0.0.1")
            (tmp_path / "cert.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
            issued.private_key_pem.write_to_path(tmp_path / "key.pem")
            AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
            options = ("--certfile", "cert.pem", "--keyfile", "key.pem", *options)
        server = start(
            *("-m", "gracehttp", "serve", "application:app", "--bind", "127.0.0.1:0", *options),
            files={"application.py": application},
            **settings,
        )
        server.wait_until_serving()
        return server

    return begin


class HeldWriter:
    """Keeps back what is written until it is released: so many bytes, or all, and from then on nothing."""

    def __init__(self, writer):
        self._writer = writer
        self._held = b""
        self._holds = True
        self.close = writer.close
        self.wait_closed = writer.wait_closed

    def write(self, data):
        self._held += data
        if not self._holds:
            self.release()

    def release(self, size=None):
        self._writer.write(self._held[:size])
        self._held = b"" if size is None else self._held[size:]
        self._holds = size is not None


def client_context():
    return context_for(AUTHORITY, alpn=("h2", "http/1.1"))


def run(main):
    return asyncio.run(asyncio.wait_for(main, DEADLINE_SECONDS))


def program(name):
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def test_httpx(begin):
    server = begin()
    with httpx.Client(http2=True, http1=False, verify=client_context()) as client:
        url = f"https://localhost:{server.port}"
        answer = client.get(url)
        assert (answer.http_version, answer.text) == ("HTTP/2", "0 2")
        assert client.post(url, content=b"a" * 1_000_000).text == "1000000 2"
        assert len(client.get(url + "/large").content) == 5_000_000


def test_client_that_offers_http_1_1_alone_gets_it(begin):
    server = begin()
    with httpx.Client(http1=True, http2=False, verify=client_context()) as client:
        assert client.get(f"https://localhost:{server.port}").http_version == "HTTP/1.1"


def test_it_is_not_offered_when_it_is_off(begin):
    server = begin(APPLICATION, "--h2", "off")
    with httpx.Client(http1=True, http2=True, verify=client_context()) as client:
        assert client.get(f"https://localhost:{server.port}").http_version == "HTTP/1.1"


@pytest.mark.parametrize("options", [[], ["--h2c"]])
def test_upload_without_length_to_wsgi(begin, options):
    server = begin(WSGI, *options, secure=not options)

    async def main():
        connection = await Http2Connection.open(server.port, tls=None if options else client_context())
        number = connection.begin("POST", more=True)
        for _ in range(20):
            connection.send(number, b"a" * 3000)
            await asyncio.sleep(0)
        connection.send(number, b"", end=True)
        assert (await connection.answer(number))[:2] == (200, b"60000 HTTP/2")
        await connection.close()

    run(main())


@pytest.mark.parametrize("how", ["--http2", "--http2-prior-knowledge", "tls"])
def test_curl(begin, tmp_path, how):
    curl = program("curl")
    secure = how == "tls"
    server = begin(APPLICATION, *([] if secure else ["--h2c"]), secure=secure)
    scheme = "https" if secure else "http"
    command = [curl, "-sS", "--max-time", "20", "-w", " %{http_version}", f"{scheme}://localhost:{server.port}/"]
    command += ["--cacert", tmp_path / "ca.pem", "--http2"] if secure else [how]
    done = subprocess.run([*command], capture_output=True, text=True, check=True)
    assert done.stdout == "0 2 2"
    upload = tmp_path / "upload"
    upload.write_bytes(b"a" * 300_000)
    done = subprocess.run([*command, "--data-binary", f"@{upload}"], capture_output=True, text=True, check=True)
    # A request that asks for Upgrade and has a body is served with HTTP/1.1.
    version = "1.1 1.1" if how == "--http2" else "2 2"
    assert done.stdout == f"{upload.stat().st_size} {version}"


def test_nghttp(begin):
    nghttp = program("nghttp")
    server = begin()
    url = f"https://localhost:{server.port}/"
    done = subprocess.run(
        [nghttp, "-v", "--no-verify-peer", url, url], capture_output=True, text=True, timeout=DEADLINE_SECONDS
    )
    assert "0 2" in done.stdout
    assert ":status: 200" in done.stdout
    assert "x-version: 2" in done.stdout


def test_h2load(begin):
    h2load = program("h2load")
    server = begin()
    command = [h2load, "-n", "2000", "-c", "8", "-m", "10", f"https://localhost:{server.port}/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    assert "2000 succeeded, 0 failed, 0 errored" in done.stdout, done.stdout


def test_access_log_and_status_know_its_requests(begin):
    server = begin(APPLICATION, "--access-log")
    with httpx.Client(http2=True, verify=client_context()) as client:
        client.get(f"https://localhost:{server.port}/logged")
    server.wait_for(r"GET /logged .*200")


@pytest.mark.parametrize("secure", [True, False])
def test_no_stream_is_lost_through_restarts_under_load(begin, secure):
    server = begin(PID_APPLICATION, "--workers", "2", *([] if secure else ["--h2c"]), secure=secure)
    with Http2Load(server.port, clients=8, streams=10, tls=client_context() if secure else None) as load:
        for generation in (2, 3, 4):
            server.process.send_signal(signal.SIGHUP)
            new = {str(pid).encode() for pid in server.wait_until_serving(generation)}
            server.wait_until_gone(generation - 1)
            load.pids.clear()
            load.wait_for_answers(200)
            assert set(load.pids) <= new
    assert load.lost == []
    assert load.connections <= 8 * 5


def test_connection_that_is_handed_over_before_its_first_byte_can_speak_http2_then(begin):
    server = begin(PID_APPLICATION, "--h2c", secure=False)

    async def main():
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.to_thread(wait_until, lambda: server.status()["listeners"][0]["open_connections"] == 1)
        server.send_signal(signal.SIGHUP)
        (new,) = await asyncio.to_thread(server.wait_until_serving, 2)
        server.wait_for("draining 1 connection")
        await asyncio.to_thread(server.wait_until_gone, 1)
        connection = Http2Connection(reader, writer, "http")
        assert (await connection.request())[:2] == (200, str(new).encode())
        await connection.close()

    run(main())


def test_preface_of_which_a_half_came_before_a_restart_is_gone_on_with(begin):
    server = begin(PID_APPLICATION, "--h2c", secure=False)
    (old,) = server.wait_until_serving()

    async def main():
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        held = HeldWriter(writer)
        connection = Http2Connection(reader, held, "http")
        number = connection.begin()
        held.release(10)
        await asyncio.to_thread(wait_until, lambda: server.status()["listeners"][0]["open_connections"] == 1)
        server.send_signal(signal.SIGHUP)
        (new,) = await asyncio.to_thread(server.wait_until_serving, 2)
        held.release()
        status, body, _ = await connection.answer(number)
        assert (status, int(body) in (old, new)) == (200, True)  # the old worker, if it has read the first half
        await connection.close()

    run(main())
    server.wait_until_gone(1)


def test_stream_in_flight_is_completed_by_the_worker_that_drains(begin):
    server = begin()

    async def main():
        connection = await Http2Connection.open(server.port, tls=client_context())
        number = connection.begin(path="/stream")
        quick = await connection.request()
        assert quick[0] == 200
        server.process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(server.wait_until_serving, 2)
        while len(connection.goaways) < 2:
            await asyncio.sleep(0.01)
        assert connection.goaways == [(2**31 - 1, 0), (3, 0)]
        server.write("release", "")
        assert await connection.answer(number) == (200, b"begun and whole", [("x-sum", "1")])
        await asyncio.wait_for(connection.ended.wait(), DEADLINE_SECONDS)
        await connection.close()

    run(main())
    server.wait_until_gone(1)


def test_stop_while_streams_are_open(begin):
    server = begin()

    async def main():
        connection = await Http2Connection.open(server.port, tls=client_context())
        numbers = [connection.begin(path="/stream") for _ in range(5)]
        await connection.request()
        server.process.send_signal(signal.SIGTERM)
        while len(connection.goaways) < 2:
            await asyncio.sleep(0.01)
        server.write("release", "")
        for number in numbers:
            assert (await connection.answer(number))[:2] == (200, b"begun and whole")
        await asyncio.wait_for(connection.ended.wait(), DEADLINE_SECONDS)
        await connection.close()

    run(main())
    assert server.process.wait(DEADLINE_SECONDS) == 0


def test_idle_connection_is_closed_at_a_restart_after_a_word(begin):
    server = begin()

    async def main():
        connection = await Http2Connection.open(server.port, tls=client_context())
        await connection.request()
        server.process.send_signal(signal.SIGHUP)
        await asyncio.wait_for(connection.ended.wait(), DEADLINE_SECONDS)
        assert connection.goaways == [(2**31 - 1, 0), (1, 0)]
        await connection.close()

    run(main())


def test_streams_count_as_one_connection(begin):
    server = begin(APPLICATION, "--max-connections", "1")

    async def main():
        connection = await Http2Connection.open(server.port, tls=client_context())
        answers = await asyncio.gather(*(connection.request() for _ in range(50)))
        assert {status for status, _, _ in answers} == {200}
        await connection.close()

    run(main())


WITHOUT_LIBRARY = """
    import sys

    sys.modules["ngh2"] = None
"""


@pytest.mark.parametrize(("options", "told"), [([], False), (["--h2", "on"], True)])
def test_without_the_library_it_is_not_offered(begin, options, told):
    server = begin(WITHOUT_LIBRARY + APPLICATION, *options)
    with httpx.Client(http1=True, http2=True, verify=client_context()) as client:
        assert client.get(f"https://localhost:{server.port}").http_version == "HTTP/1.1"
    assert ("pip install 'gracehttp[h2]'" in server.log) is told


WEBSOCKETS = """
    import asyncio

    async def app(scope, receive, send):
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
"""


@pytest.mark.parametrize(
    "options",
    [("--ws-goodbye", "200ms"), ("--ws-goodbye", "1h", "--drain-timeout", "4s")],
    ids=["the goodbye ends first", "the drain ends first"],
)
def test_websockets_of_one_connection_are_told_at_a_restart(begin, options):
    from websocket_client import close, closing, frames_in, text

    server = begin(WEBSOCKETS, *options)

    async def main():
        connection = await Http2Connection.open(server.port, tls=client_context())
        while 8 not in connection.h2.remote_settings:
            await asyncio.sleep(0.01)
        fields = [(":protocol", "websocket"), ("sec-websocket-version", "13")]
        numbers = [connection.begin("CONNECT", "/", more=True, fields=fields) for _ in range(5)]
        got = dict.fromkeys(numbers, b"")

        async def message(number):
            while not frames_in(got[number])[0]:
                event = await connection.streams[number].get()
                got[number] += getattr(event, "data", b"")
            (found, *_), _ = frames_in(got[number])
            got[number] = b""
            return found

        for number in numbers:
            connection.send(number, text(f"hello {number}"))
            assert (await message(number)).payload == f"hello {number}".encode()
        server.process.send_signal(signal.SIGHUP)
        for number in numbers:
            assert closing(await message(number))[0] == 1012
            connection.send(number, close(1012), end=True)
        await asyncio.wait_for(connection.ended.wait(), DEADLINE_SECONDS)
        await connection.close()

    run(main())
    server.wait_until_gone(1)


PAGE = """
    PAGE = b'''<!doctype html><title>many</title><script>
    const urls = [...Array(50).keys()].map((number) => `/slow/${number}`);
    Promise.all(urls.map((url) => fetch(url).then((answer) => answer.text())))
        .then((answers) => fetch(`/told/${answers.join(",")}`));
    </script>'''
    import asyncio
    import os

    async def app(scope, receive, send):
        path = scope["path"]
        app.most = max(app.most, app.running)
        if path.startswith("/slow/"):
            app.running += 1
            while app.most < 50:  # until all are here at once
                app.most = max(app.most, app.running)
                await asyncio.sleep(0.01)
            body = path[6:].encode()
        elif path.startswith("/told/"):
            os.write(2, f"the browser saw {path[6:]} with {scope['http_version']}\\n".encode())
            body = b""
        else:
            body = PAGE
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": body})

    app.running = app.most = 0
"""


@pytest.mark.browser
def test_chromium_has_fifty_streams_of_one_page(begin, browse):
    server = begin(PAGE)
    browse(f"https://127.0.0.1:{server.port}/")
    told = server.wait_for("the browser saw (.*) with 2")[1]
    assert told == ",".join(map(str, range(50)))
