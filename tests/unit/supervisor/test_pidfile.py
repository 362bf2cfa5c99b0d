"""The pidfile takes no file that isn't one."""

from __future__ import annotations

import errno
import fcntl
import os

import pytest

from gracehttp.cli.target import read_pidfile
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


@pytest.mark.parametrize("target", [None, "4711\n", "precious"])
def test_a_symbolic_link_is_never_followed(tmp_path, target):
    link, elsewhere = tmp_path / "app.pid", tmp_path / "elsewhere"
    if target is not None:
        elsewhere.write_text(target)
    link.symlink_to(elsewhere)
    with pytest.raises(StartError) as caught:
        PidFile.write(str(link))
    assert caught.value.message == f"cannot write the pidfile {link}: it is a symbolic link."
    assert (elsewhere.read_text() if elsewhere.exists() else None) == target


@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("open", errno.EACCES),
        ("open", errno.EROFS),
        ("open", errno.ENOSPC),
        ("pread", errno.EIO),
        ("pwrite", errno.ENOSPC),
        ("pwrite", errno.EDQUOT),
        ("ftruncate", errno.EIO),
    ],
    ids=lambda one: errno.errorcode.get(one, one),
)
def test_each_error_of_the_file_system_is_one_sentence(tmp_path, monkeypatch, call, number):
    path = tmp_path / "app.pid"

    def fail(*_arguments):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(StartError) as caught:
            PidFile.write(str(path))
    assert caught.value.message == f"cannot write the pidfile {path}: {os.strerror(number)}."
    assert "--pidfile" in caught.value.hint


def test_a_full_disk_leaves_no_empty_file_behind(tmp_path, monkeypatch):
    path = tmp_path / "app.pid"
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", lambda *_arguments: 0)
        with pytest.raises(StartError, match="No space left on device"):
            PidFile.write(str(path))
    assert not path.exists()


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "app.pid"
    path.write_text("4711\n")

    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(StartError):
            PidFile.write(str(path))
    assert path.read_text() == "4711\n"


def test_a_lock_that_the_file_system_refuses_is_told(tmp_path, monkeypatch):
    def refuse(*_arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StartError, match=r"it can't be locked \(No locks available\)"):
        PidFile.write(str(tmp_path / "app.pid"))


def test_who_reads_meanwhile_never_finds_half_a_pid(tmp_path, monkeypatch):
    path = tmp_path / "app.pid"
    path.write_text("1234567890\n")
    seen = []
    original = os.ftruncate

    def look(*arguments):
        seen.append(read_pidfile(path))
        original(*arguments)

    monkeypatch.setattr(os, "ftruncate", look)
    PidFile.write(str(path)).remove()
    assert seen == [os.getpid()]


def test_a_file_that_is_removed_while_it_is_taken_is_made_anew(tmp_path, monkeypatch):
    """Its supervisor ended between the opening and the lock."""
    path = tmp_path / "app.pid"
    before = PidFile.write(str(path))
    original = fcntl.flock

    def lock(*arguments):
        if path.exists() and before is not None:
            monkeypatch.setattr(fcntl, "flock", original)
            before.remove()
        original(*arguments)

    monkeypatch.setattr(fcntl, "flock", lock)
    after = PidFile.write(str(path))
    assert path.read_text() == ME
    after.remove()
