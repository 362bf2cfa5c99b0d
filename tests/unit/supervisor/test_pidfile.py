"""The pidfile takes no file that isn't one."""

from __future__ import annotations

import os

import pytest

from gracehttp.errors import StartError
from gracehttp.supervisor.pidfile import PidFile, look_at

ME = f"{os.getpid()}\n"


@pytest.mark.parametrize("content", [None, "", "4711\n", "4711"])
def test_a_file_that_is_new_or_held_a_pid_is_ours_until_it_is_removed(tmp_path, content):
    path = tmp_path / "app.pid"
    if content is not None:
        path.write_text(content)
    assert look_at(str(path)) == (int(content) if content else None)
    pidfile = PidFile.write(str(path))
    assert path.read_text() == ME
    assert look_at(str(path)) == os.getpid()
    pidfile.remove()
    assert not path.exists()


@pytest.mark.parametrize("content", ["import os\n", "12 13\n", "-5\n", "1" * 40])
def test_a_file_of_somebody_else_is_refused_and_untouched(tmp_path, content):
    path = tmp_path / "main.py"
    path.write_text(content)
    for attempt in (PidFile.write, look_at):
        with pytest.raises(StartError, match="exists already and is no pidfile") as caught:
            attempt(str(path))
        assert caught.value.hint == "choose another --pidfile, or remove that file"
    assert path.read_text() == content


def test_a_pidfile_that_is_held_is_refused_with_its_pid(tmp_path):
    path = str(tmp_path / "app.pid")
    held = PidFile.write(path)
    with pytest.raises(StartError, match=f"belongs to a supervisor that is running, pid {os.getpid()}"):
        PidFile.write(path)
    held.remove()


@pytest.mark.parametrize("attempt", [PidFile.write, look_at])
def test_a_folder_that_is_not_there_is_told(tmp_path, attempt):
    with pytest.raises(StartError, match="cannot write the pidfile"):
        attempt(str(tmp_path / "nowhere" / "app.pid"))


def test_a_folder_is_no_pidfile(tmp_path):
    for attempt in (PidFile.write, look_at):
        with pytest.raises(StartError, match="pidfile"):
            attempt(str(tmp_path))
