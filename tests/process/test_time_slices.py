"""The time slices of processes, as the kernel has them, from the begin of a worker to its end."""

from __future__ import annotations

import platform
import sys

import pytest
from server_harness import get

from gracehttp.compiled import BUILD
from gracehttp.net.time_slice import SHORTEST_NANOSECONDS

APPLICATION = """
import atexit, ctypes, os, struct

def slice_nanoseconds(pid=0):
    attributes = ctypes.create_string_buffer(48)
    assert ctypes.CDLL(None).syscall(315, pid, attributes, 48, 0) == 0  # sched_getattr(2) of x86_64
    return struct.unpack("IIQiIQQQ", attributes.raw)[5]

at_import = slice_nanoseconds()

@atexit.register
def tell():
    with open(f"end-{os.getpid()}", "w") as file:
        file.write(str(slice_nanoseconds()))

async def app(scope, receive, send):
    if scope["type"] == "http":
        body = f"{at_import} {slice_nanoseconds()} {slice_nanoseconds(os.getppid())}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or not BUILD.compiled,
    reason="compiled modules make the call, and its number here is that of x86_64",
)
@pytest.mark.parametrize("options", [["--spare=off"], ["--spare=on"], ["--preload"]], ids=" ".join)
def test_a_worker_has_short_turns_from_its_order_to_serve_until_it_has_drained(start, options):
    files = {"application.py": APPLICATION}
    server = start("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0", "-w", "2", *options, files=files)
    for generation in (1, 2):
        workers = server.wait_until_serving(generation)
        at_import, serving, supervisor = map(int, get(server.port)[1].split())
        if not supervisor:
            pytest.skip("this kernel tells no time slice: it is older than Linux 6.12")
        assert at_import == supervisor > serving == SHORTEST_NANOSECONDS
        server.restart(generation + 1)
        server.wait_until_gone(generation)
        ends = [int((server.folder / f"end-{pid}").read_text()) for pid in workers]
        assert ends == [supervisor] * 2
