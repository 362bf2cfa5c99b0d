"""Files of Unix sockets: their permissions, and those that are left over."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from gracehttp.errors import ConfigurationError
from gracehttp.net.address import UnixAddress, parse_address
from gracehttp.net.unix_files import MOST_PATH_BYTES, bind_file, remove_stale_file


@pytest.fixture
def bound(tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as sock:
        bind_file(sock, path, 0o640)
        yield path, sock


def test_a_file_has_its_mode_and_the_umask_is_as_before(bound):
    before = os.umask(0)
    os.umask(before)
    assert stat.S_IMODE(os.stat(bound[0]).st_mode) == 0o640
    assert os.umask(before) == before


def test_the_umask_is_restored_if_the_path_is_taken(bound):
    before = os.umask(0)
    os.umask(before)
    with socket.socket(socket.AF_UNIX) as another, pytest.raises(OSError, match="in use"):
        bind_file(another, bound[0], 0o600)
    assert os.umask(before) == before


def test_a_file_whose_process_has_ended_is_removed(bound):
    path, sock = bound
    sock.close()
    remove_stale_file(path)
    assert not os.path.exists(path)


def test_a_file_on_which_a_process_listens_stays(bound):
    path, sock = bound
    sock.listen()
    remove_stale_file(path)
    assert os.path.exists(path)


def test_any_other_file_stays(tmp_path):
    other = tmp_path / "s"
    other.write_text("precious")
    remove_stale_file(str(other))
    remove_stale_file(str(tmp_path / "nothing"))
    assert other.read_text() == "precious"


def test_the_length_of_a_path_counts_in_bytes(tmp_path):
    longest = "/" + "ä" * 53
    assert len(os.fsencode(longest)) == MOST_PATH_BYTES
    assert parse_address(f"unix:{longest}") == UnixAddress(longest)
    with pytest.raises(ConfigurationError, match="too long"):
        parse_address(f"unix:{longest}s")
