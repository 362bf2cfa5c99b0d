"""Requests at the control socket that nobody can act on: who asked is told so, and not left waiting."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from gracehttp.event_bus import EventBus
from gracehttp.supervisor.control import ControlSocket

NESTED = b"[" * 60_000
STATUS = b'{"version": 1, "command": "status"}'


class Broken:
    """A supervisor with a defect."""

    def status(self):
        raise RuntimeError("a defect of ours")


async def ask(path, line):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        control = ControlSocket(sock, None, Broken(), EventBus())
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(line + b"\n")
        answer = json.loads(await reader.readline())
        writer.close()
        await control.close()
    return answer


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (NESTED, "the request can't be read (it is nested too deeply)"),
        (STATUS, "the supervisor failed to act on the request (RuntimeError('a defect of ours'))"),
    ],
    ids=["nested", "defect"],
)
def test_a_request_that_can_not_be_acted_on_is_refused(tmp_path, line, told):
    async def scenario():
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        answer = await ask(tmp_path / "control", line)
        assert (answer["done"], answer["ok"], answer["message"]) == (True, False, told)

    asyncio.run(asyncio.wait_for(scenario(), 20))
