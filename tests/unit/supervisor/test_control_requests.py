"""Requests at the control socket that nobody can act on: who asked is told so, and not left waiting."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from gracehttp.event_bus import EventBus
from gracehttp.supervisor.control.socket import ControlSocket, open_control

NESTED = b"[" * 60_000
STATUS = b'{"version": 1, "command": "status"}'


def test_a_file_that_is_no_socket_is_named_as_the_reason_that_there_is_no_control_socket(tmp_path):
    file = tmp_path / "ctl.txt"
    file.write_text("precious")
    bus, told = EventBus(), []
    bus.subscribe(lambda event: told.append(str(event)))
    assert open_control(str(file), Broken(), bus) is None
    assert told == [f"no control socket at {file} (the file exists and is no socket); signals work all the same"]
    assert file.read_text() == "precious"


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
