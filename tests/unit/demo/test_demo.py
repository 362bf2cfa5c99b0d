"""The demo: its application, what its load counts, and that a restart under load loses nothing."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from click.testing import CliRunner
from deadlines import DEADLINE_SECONDS

from gracehttp.cli.demo import called_as, demo_servers, introduction
from gracehttp.cli.program import program
from gracehttp.demo.accounting import Account, Ending, Response, report, take_response
from gracehttp.demo.app import application
from gracehttp.demo.load import Load
from gracehttp.demo.proof import serving_address
from gracehttp.errors import StartError
from gracehttp.events import Event, GenerationPromoted, SupervisorStarted
from gracehttp.wire.control import GenerationStatus, ListenerStatus, Status

PONG = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\npong pid:7"
CLOSING = PONG.replace(b"Content-Type", b"connection: close\r\nContent-Type")

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


# --- the application ---


def asked(scope: dict[str, Any], *received: dict[str, Any]) -> list[dict[str, Any]]:
    """What the demo's application sends for `scope`."""
    sent: list[dict[str, Any]] = []
    incoming = iter(received)

    async def receive() -> Any:
        return next(incoming)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(application(scope, receive, send))
    return sent


def test_ping_tells_the_pid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getpid", lambda: 42)
    head, body = asked({"type": "http", "path": "/ping"})
    assert (head["status"], body["body"]) == (200, b"pong by pid:42")
    assert (b"content-type", b"text/plain") in head["headers"]


def test_everything_else_is_unknown() -> None:
    head, body = asked({"type": "http", "path": "/pong"})
    assert (head["status"], body["body"]) == (404, b"unknown")


def test_demo_application_has_a_lifespan() -> None:
    sent = asked({"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_demo_application_refuses_websockets() -> None:
    with pytest.raises(NotImplementedError, match="websocket"):
        asked({"type": "websocket"})


# --- the accounting ---


def test_response_cut_anywhere_needs_more_bytes() -> None:
    for cut in range(len(PONG)):
        assert take_response(PONG[:cut]) is None
    assert take_response(PONG + b"rest") == (Response(200, b"pong pid:7", closing=False), b"rest")


def test_announced_close_is_seen() -> None:
    taken = take_response(CLOSING)
    assert taken is not None
    assert taken[0].closing


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK", b"SSH-2.0\r\nContent-Length: 1", b"HTTP/1.1 x\r\nContent-Length: 1"]
)
def test_what_the_demo_does_not_send_is_refused(head: bytes) -> None:
    with pytest.raises(ValueError, match="no response that the demo sends"):
        take_response(head + b"\r\n\r\n")


@pytest.mark.parametrize(
    ("response", "ending", "sums"),
    [
        (Response(200, b"pong by pid:7", closing=False), Ending.ANSWERED, (1, 0, 0)),
        (Response(200, b"pong by pid:7", closing=True), Ending.ANSWERED_AND_CLOSING, (1, 0, 1)),
        (Response(503, b"pong by pid:7", closing=False), Ending.LOST, (0, 1, 0)),
        (Response(200, b"hello", closing=False), Ending.LOST, (0, 1, 0)),
    ],
)
def test_response_is_entered(response: Response, ending: Ending, sums: tuple[int, int, int]) -> None:
    account = Account()
    assert account.response(response, 0.001) is ending
    assert (account.answered, account.lost, account.reconnects) == sums
    assert account.requests == 1


@pytest.mark.parametrize(
    ("latencies", "share", "quantile"),
    [([], 0.5, 0.0), ([5.0], 0.99, 5.0), ([3.0, 1.0, 2.0], 0.5, 2.0), ([float(n) for n in range(1, 101)], 0.99, 99.0)],
)
def test_quantile_is_the_nearest_rank(latencies: list[float], share: float, quantile: float) -> None:
    account = Account()
    account.latencies_seconds.extend(latencies)
    assert account.quantile_seconds(share) == quantile


def test_report_shows_the_sums_and_the_first_losses() -> None:
    account = Account()
    account.response(Response(200, b"pong by pid:7", closing=True), 0.002)
    for number in range(9):
        account.loss(f"reason {number}")
    lines = report(account, restarts=3)
    assert [line.split()[-1] for line in lines[:4]] == ["3", "10", "9", "1"]
    assert "2.00 ms" in lines[4]
    assert lines[6].endswith(" 7")
    assert lines[7:] == [f"lost: reason {number}" for number in range(5)]


# --- the load ---


def loaded(serve: Serve, requests: int, *, connections: int = 4) -> Account:
    """The account of a load on a server whose connections `serve` handles."""

    async def scenario() -> Account:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            load = Load("127.0.0.1", server.sockets[0].getsockname()[1], connections=connections)
            load.start()
            await load.wait_for_requests(requests)
            await load.finish()
        return load.account

    return asyncio.run(scenario())


def answering(answer: bytes, *, times: int) -> Serve:
    """A server that answers each request of a connection with `answer`, `times` times, and then closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(times):
            try:
                await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            writer.write(answer)
        writer.close()

    return serve


def test_load_on_a_good_server_loses_nothing() -> None:
    account = loaded(answering(PONG, times=10_000), 200)
    assert account.answered >= 200
    assert (account.lost, account.reconnects, account.pids) == (0, 0, [7])


def test_announced_close_is_a_reconnect_and_no_loss() -> None:
    account = loaded(answering(CLOSING, times=1), 20)
    assert account.lost == 0
    assert account.reconnects == account.answered >= 20


def test_close_without_announcement_is_a_loss() -> None:
    account = loaded(answering(PONG, times=3), 1000)
    assert account.lost == 4


def test_half_an_answer_is_a_loss() -> None:
    account = loaded(answering(PONG[:-1], times=1), 1)
    assert account.answered == 0
    assert "end of file after" in account.losses[0]


def test_bytes_after_the_answer_are_a_loss() -> None:
    account = loaded(answering(PONG + b"x", times=5), 1)
    assert account.losses[0] == "1 bytes after the response"


def test_refused_connection_is_a_loss() -> None:
    async def scenario() -> Account:
        server = await asyncio.start_server(answering(PONG, times=1), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        load = Load("127.0.0.1", port, connections=1)
        load.start()
        await load.wait_for_requests(5)
        await load.finish()
        return load.account

    account = asyncio.run(scenario())
    assert account.lost == 1
    assert account.losses[0].startswith("connect() failed")


# --- the command ---


def test_demo_serves_on_9090_with_the_limits_of_the_original() -> None:
    (server,) = demo_servers("127.0.0.1:9090")
    assert (server.max_connections, server.header_timeout, server.body_timeout) == (1000, 1.0, 1.0)


@pytest.mark.parametrize(("arguments", "limit"), [((), 1000), (("--connections", "2000"), 2000)])
def test_the_service_has_room_for_the_load(
    monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], limit: int
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("gracehttp.cli.demo.prove", lambda *what, **options: asked.append((*what, options)))
    result = CliRunner().invoke(program, ["demo", "--restarts", "3", "--workers", "2", *arguments])
    assert result.exit_code == 0, result.output
    connections = int(arguments[1]) if arguments else 32
    assert asked == [
        ("127.0.0.1:0", 3, {"workers": 2, "connections": connections, "max_connections": limit}),
    ]


def test_introduction_tells_url_and_pid() -> None:
    (server,) = demo_servers(":9090")
    text = "\n".join(introduction(server, 42, "gracehttp"))
    assert "curl http://127.0.0.1:9090/ping" in text
    assert "gracehttp restart --pid 42" in text


def test_introduction_without_a_known_port_tells_how_to_learn_it() -> None:
    (server,) = demo_servers("127.0.0.1:0")
    text = "\n".join(introduction(server, 42, "gracehttp"))
    assert "gracehttp status --pid 42     (tells the address)" in text
    assert text.count("gracehttp status") == 1


def test_introduction_calls_the_program_as_it_was_called() -> None:
    (server,) = demo_servers("127.0.0.1:0")
    assert "  .venv/bin/gracehttp stop --pid 42" in "\n".join(
        introduction(server, 42, called_as(".venv/bin/gracehttp"))
    )
    assert called_as("gracehttp") == "gracehttp"
    assert called_as("/x/gracehttp/__main__.py").endswith(" -m gracehttp")


def test_connections_of_a_load_that_does_not_come_are_a_mistake() -> None:
    result = CliRunner().invoke(program, ["demo", "--connections", "5"])
    assert result.exit_code == 2
    assert "give --restarts N" in result.stderr


@pytest.mark.parametrize(("variables", "greets"), [({}, 1), ({"GRACEHTTP_WORKER_CHANNEL": "5"}, 0)])
def test_only_the_supervisor_introduces_itself_once_it_serves(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], greets: int
) -> None:
    class Silent:
        @staticmethod
        def from_configuration(configuration: object, on_event: Callable[[Event], None] | None) -> Silent:
            Silent.on_event = on_event
            return Silent()

        def run(self) -> None:
            for event in (SupervisorStarted(1, "1"), GenerationPromoted(1, (2,)), GenerationPromoted(2, (3,))):
                print(type(event).__name__)
                if Silent.on_event is not None:
                    Silent.on_event(event)

    monkeypatch.setattr("gracehttp.api.GraceHTTP", Silent)
    result = CliRunner().invoke(program, ["demo", "--bind", ":9090"], env=variables)
    assert result.exit_code == 0
    assert result.stdout.count("The demo serves on http://127.0.0.1:9090") == greets
    assert "serves on" not in result.stdout.partition("GenerationPromoted")[0]


def test_demo_that_finds_its_port_in_use_invites_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "gracehttp", "demo", "--bind", f"127.0.0.1:{taken.getsockname()[1]}"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "it is in use by" in ended.stderr


def status(state: str, bound: str) -> Status:
    generation = GenerationStatus(generation=1, state=state, workers=())
    listener = ListenerStatus(address=bound, bound=bound, max_connections=5)
    return Status(pid=1, version="test", uptime_seconds=0.5, generations=(generation,), listeners=(listener,))


@pytest.mark.parametrize(
    ("told", "address"),
    [
        (Status(1, "test", 0.5, (), ()), None),
        (status("starting", "127.0.0.1:5"), None),
        (status("serving", "127.0.0.1:5"), ("127.0.0.1", 5)),
        (status("serving", "0.0.0.0:5"), ("127.0.0.1", 5)),
        (status("serving", "[::1]:5"), ("::1", 5)),
    ],
)
def test_address_is_known_once_a_generation_serves(told: Status, address: tuple[str, int] | None) -> None:
    assert serving_address(told) == address


def test_address_that_is_no_port_can_not_be_loaded() -> None:
    with pytest.raises(StartError, match="can't load unix:/x"):
        serving_address(status("serving", "unix:/x"))


def test_restarts_under_load_lose_nothing() -> None:
    result = CliRunner().invoke(program, ["demo", "--restarts", "2"])
    assert result.exit_code == 0, result.output
    rows = dict(line.rsplit(maxsplit=1) for line in result.stdout.splitlines() if line.startswith(("restarts", "lost")))
    assert rows == {"restarts": "2", "lost": "0"}


def test_demo_that_can_not_start_shows_why() -> None:
    result = CliRunner().invoke(program, ["demo", "--restarts", "1", "--bind", "fd://999"])
    assert result.exit_code == 3
    assert "the service of the demo did not start" in result.stderr
    assert "999" in result.stderr
