"""Parts of files on a plain stream: in order with bytes, bounded in each turn, and never left open."""

from __future__ import annotations

import errno
import os

import pytest
from floor import BOTH, runner_for, until

from gracehttp.net import file_part
from gracehttp.net.file_part import FilePart, FileUnreadable
from gracehttp.net.stream import BURST_BYTES

BIG = bytes(range(256)) * 4096
"""A MiB, more than the kernel takes for a client that reads nothing."""


@pytest.fixture(params=BOTH)
def run(request):
    return runner_for(request.param)


@pytest.fixture
def part(tmp_path):
    """Makes parts of a file with `content`; at the end of the test all of them must be closed."""
    made = []

    def make(content=BIG, offset=0, size=None):
        path = tmp_path / str(len(made))
        path.write_bytes(content)
        part = FilePart(os.open(path, os.O_RDONLY), offset, len(content) - offset if size is None else size)
        made.append(part)
        return part

    yield make
    assert [one._descriptor for one in made] == [-1] * len(made)


def test_bytes_and_files_arrive_in_order(run, part):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        stream.write(b"before")
        stream.write_file(part(offset=5, size=len(BIG) - 10))
        stream.write(b"between")
        stream.write_file(part(b"small"))
        stream.write_pieces([b"be", b"hind"])
        assert stream.unsent_bytes
        assert not stream.writable
        expected = b"before" + BIG[5:-5] + b"between" + b"small" + b"behind"
        assert await client.take(len(expected)) == expected
        await until(lambda: stream.writable)
        assert (stream.unsent_bytes, seen.rooms) == (0, 1)

    run(scenario)


def test_a_turn_sends_a_bounded_piece(run, part, monkeypatch):
    sizes = []
    sendfile = os.sendfile

    def counted(out, source, offset, count):
        sizes.append(count)
        return sendfile(out, source, offset, count)

    monkeypatch.setattr(file_part.os, "sendfile", counted)

    async def scenario(floor):
        client, stream, _seen = floor.stream()
        stream.write_file(part())
        assert await client.take(len(BIG)) == BIG
        assert max(sizes) <= BURST_BYTES

    run(scenario)


def test_each_byte_of_a_file_is_counted(run, part):
    async def scenario(floor):
        client, stream, _seen = floor.stream()
        stream.write_file(part())
        assert await client.take(len(BIG)) == BIG
        await until(lambda: stream.writable)
        assert floor.services.sent_bytes == len(BIG)

    run(scenario)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS])
def test_a_file_that_the_kernel_cant_send_is_read(run, part, monkeypatch, number):
    def refused(*_arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(file_part.os, "sendfile", refused)

    async def scenario(floor):
        client, stream, _seen = floor.stream()
        stream.write_file(part())
        assert await client.take(len(BIG)) == BIG

    run(scenario)


def test_a_file_that_became_shorter_is_no_orderly_end(run, part):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        stream.write_file(part(size=len(BIG) + 1))
        with pytest.raises(ConnectionResetError):
            await client.take_all()
        await until(lambda: seen.closes)
        assert [error.errno for error in floor.failures] == [errno.EIO]
        assert isinstance(floor.failures[0], FileUnreadable)

    run(scenario)


@pytest.mark.parametrize("end", ["abort", "reset", "client"])
def test_a_file_is_closed_with_its_stream(run, part, end):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        stream.write_file(part())
        stream.write_file(part())
        if end == "client":
            client.reset()
        else:
            getattr(stream, end)()
        await until(lambda: seen.closes)
        stream.write_file(part())

    run(scenario)
