"""A worker that is ready and never serves has begun its lifespan. It ends it."""

from __future__ import annotations

import signal

APPLICATION = """
    import asyncio
    import os

    SLOW = os.path.exists("slow")  # siblings of the first worker take long

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            try:
                os.mkdir("first")
            except FileExistsError:
                while os.path.exists("wait"):
                    await asyncio.sleep(0.01)
                if os.path.exists("fail"):
                    await send({"type": "lifespan.startup.failed", "message": "told to"})
                    return
            await send({"type": "lifespan.startup.complete"})
            await receive()
            print("lifespan of", os.getpid(), "shut down", file=__import__("sys").stderr, flush=True)
            await send({"type": "lifespan.shutdown.complete"})
"""


def begin(start):
    server = start("-m", "gracehttp", "serve", "a:app", "-b", "127.0.0.1:0", "-w", "2", files={"a.py": APPLICATION})
    server.wait_until_serving()
    server.folder.joinpath("first").rmdir()
    server.write("wait", "")
    server.send_signal(signal.SIGHUP)
    return server, server.wait_for(r"worker 3 of generation 2 is ready after .* pid (\d+)")[1]


def test_a_worker_that_is_superseded_shuts_its_lifespan_down(start):
    server, pid = begin(start)
    server.send_signal(signal.SIGHUP)
    server.wait_for(f"lifespan of {pid} shut down")
    server.folder.joinpath("wait").unlink()
    server.wait_until_serving(3)


def test_a_worker_whose_sibling_fails_shuts_its_lifespan_down(start):
    server, pid = begin(start)
    server.write("fail", "")
    server.folder.joinpath("wait").unlink()
    server.wait_for(f"lifespan of {pid} shut down")
    server.wait_for("generation 2 was given up")


def test_a_worker_that_is_ready_when_the_service_stops_shuts_its_lifespan_down(start):
    server, pid = begin(start)
    server.send_signal(signal.SIGTERM)
    server.wait_for(f"lifespan of {pid} shut down")
    assert server.wait() == 0
