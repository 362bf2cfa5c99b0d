"""The pidfile takes no file that isn't one."""

from __future__ import annotations

import os

import pytest

from gracehttp.errors import StartError
from gracehttp.supervisor.pidfile import PidFile

ME = f"{os.getpid()}\n"


@pytest.mark.parametrize("content", [None, "", "4711\n", "4711"])
def test_a_file_that_is_new_or_held_a_pid_is_ours_until_it_is_removed(tmp_path, content):
    path = tmp_path / "app.pid"
    if content is not None:
        path.write_text(content)
    pidfile = PidFile.write(str(path))
    assert path.read_text() == ME
    pidfile.remove()
    assert not path.exists()


@pytest.mark.parametrize("content", ["import os\n", "12 13\n", "-5\n", "1" * 40])
def test_a_file_of_somebody_else_is_refused_and_untouched(tmp_path, content):
    path = tmp_path / "main.py"
    path.write_text(content)
    with pytest.raises(StartError, match="exists already and is no pidfile") as caught:
        PidFile.write(str(path))
    assert caught.value.hint == "choose another --pidfile, or remove that file"
    assert path.read_text() == content


def test_a_pidfile_that_is_held_is_refused_with_its_pid(tmp_path):
    path = str(tmp_path / "app.pid")
    held = PidFile.write(path)
    with pytest.raises(StartError, match=f"belongs to a supervisor that is running, pid {os.getpid()}"):
        PidFile.write(path)
    held.remove()


def test_a_folder_that_is_not_there_is_told(tmp_path):
    path = tmp_path / "nowhere" / "app.pid"
    with pytest.raises(StartError) as caught:
        PidFile.write(str(path))
    assert caught.value.message == f"cannot write the pidfile {path}: its folder does not exist."
    assert caught.value.hint == "choose another --pidfile, or make its folder"


def test_a_folder_is_no_pidfile(tmp_path):
    with pytest.raises(StartError, match="cannot write the pidfile"):
        PidFile.write(str(tmp_path))
