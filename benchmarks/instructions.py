"""Instructions for one request, which are the same on a busy machine. Needs valgrind.

    python -m benchmarks.instructions                            # all scenes
    GRACEHTTP_COMPILED=off python -m benchmarks.instructions     # of the interpreted build

A server in one process, with the least application that there is, answers one client, once for few requests and once
for many; the difference, divided by theirs, is what one takes (cachegrind, "I refs"). The kernel's part isn't in it.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys

import uvloop

import gracehttp
from gracehttp.compiled import BUILD

from .applications import hello, hello_wsgi
from .clients import BROWSER_HEADERS

FEW, MANY = 500, 2500
GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"
BROWSER = GET[:-2] + "".join(f"{line}\r\n" for line in BROWSER_HEADERS).encode() + b"\r\n"
SCENES = {
    "get": (hello, GET, False),
    "headers": (hello, BROWSER, False),
    "new": (hello, GET, True),
    "wsgi": (hello_wsgi, GET, False),
}
END = b"Hello, world!"


def ask(port, request, count, anew):
    """The client, in a process of its own."""
    sock = None
    for _ in range(count):
        sock = sock or socket.create_connection(("127.0.0.1", port))
        sock.sendall(request)
        answer = b""
        while not answer.endswith(END):
            answer += sock.recv(65536)
        if anew:
            sock.close()
            sock = None


async def serve(scene, count):
    app, request, anew = SCENES[scene]
    async with gracehttp.serving(app, access_log=False) as server:
        loop = asyncio.get_running_loop()
        client_is_there, client_ends = os.pipe()
        if not os.fork():
            ask(server.port, request, count, anew)
            os._exit(0)
        os.close(client_ends)
        ended = loop.create_future()
        loop.add_reader(client_is_there, ended.set_result, None)
        await ended
        loop.remove_reader(client_is_there)
        os.close(client_is_there)


def count_instructions(scene, count):
    tool = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    command = [*tool, sys.executable, "-m", "benchmarks.instructions", scene, str(count)]
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    told = re.findall(r"==(\d+)== I *refs: *([\d,]+)", ended.stderr)
    counted = [(int(pid), int(figure.replace(",", ""))) for pid, figure in told]
    if ended.returncode or not counted:
        raise SystemExit(ended.stderr)
    return min(counted)[1]  # of the server; the client was forked later


def main():
    if len(sys.argv) == 3:
        uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
        return
    print(BUILD)
    for scene in sys.argv[1:] or SCENES:
        few, many = count_instructions(scene, FEW), count_instructions(scene, MANY)
        print(f"{scene:8} {(many - few) // (MANY - FEW):8,}")


if __name__ == "__main__":
    main()
