"""A restart that is asked for by a command while another one is under way."""

from __future__ import annotations

import signal

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import get

APPLICATION = """
    import asyncio
    import os

    NUMBER = open("number").read()

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            print("startup of", NUMBER, file=__import__("sys").stderr, flush=True)
            while os.path.exists(f"wait{NUMBER}"):
                await asyncio.sleep(0.01)
            if os.path.exists(f"fail{NUMBER}"):
                await send({"type": "lifespan.startup.failed", "message": "told to"})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        await send({"type": "http.response.body", "body": NUMBER.encode()})
"""


@pytest.fixture
def server(start):
    """One whose second generation waits in its lifespan startup, on its way to serve."""
    files = {"a.py": APPLICATION, "number": "1"}
    server = start("-m", "gracehttp", "serve", "a:app", "-b", "127.0.0.1:0", files=files)
    server.wait_until_serving()
    server.write("number", "2")
    server.write("wait2", "")
    return server


def finished(process):
    out, err = process.communicate(timeout=DEADLINE_SECONDS)
    return process.returncode, out, err


@pytest.mark.parametrize("fails", [False, True])
def test_it_begins_when_the_one_under_way_has_ended(server, fails):
    with server.command_in_background("restart") as first:
        server.wait_for("startup of 2")
        with server.command_in_background("restart") as second, server.command_in_background("restart") as third:
            server.wait_for("waits until generation 2, which is starting", count=2)
            server.write("number", "3")
            if fails:
                server.write("fail2", "")
            server.folder.joinpath("wait2").unlink()
            status, out, err = finished(first)
            assert (status, "generation 2 serves" in out) == ((1, False) if fails else (0, True)), err
            for one in (second, third):
                status, out, err = finished(one)
                assert (status, out.startswith("generation 3 serves")) == (0, True), err
    assert get(server.port)[1] == "3"
    assert "generation 4" not in server.log


@pytest.mark.parametrize("how", ["--supersede", "HUP"])
def test_it_ends_the_one_under_way_if_told_to(server, how):
    with server.command_in_background("restart") as first:
        server.wait_for("startup of 2")
        with server.command_in_background("restart") as queued:
            server.wait_for("waits until generation 2, which is starting")
            server.write("number", "3")
            if how == "HUP":
                server.send_signal(signal.SIGHUP)
            else:
                assert server.command("restart", "--supersede").returncode == 0
            for one in (first, queued):
                status, out, err = finished(one)
                assert (status, out.startswith("generation 3 serves")) == (0, True), err
    assert "generation 4" not in server.log


def test_one_that_waits_when_the_supervisor_replaces_itself_is_told_by_the_next_one(server):
    with server.command_in_background("restart"):
        server.wait_for("startup of 2")
        with server.command_in_background("restart") as queued:
            server.wait_for("waits until generation 2, which is starting")
            server.write("number", "3")
            server.send_signal(signal.SIGUSR2)
            status, out, err = finished(queued)
            assert (status, out.startswith("generation 3 serves")) == (0, True), err


def test_one_that_waits_at_a_stop_is_told(server):
    with server.command_in_background("restart"):
        server.wait_for("startup of 2")
        with server.command_in_background("restart") as queued:
            server.wait_for("waits until generation 2, which is starting")
            server.send_signal(signal.SIGTERM)
            status, _, err = finished(queued)
            assert (status, "the service was stopped" in err) == (1, True), err
