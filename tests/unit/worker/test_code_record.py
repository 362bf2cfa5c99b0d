"""What counts as other code."""

from __future__ import annotations

import errno
import os
import sys
from types import ModuleType

from gracehttp.worker.code_record import can_record, changed_files, changed_since, loaded_files, write_record


def module(path):
    made = ModuleType("made")
    made.__file__ = None if path is None else str(path)
    return made


def test_a_process_runs_the_code_that_it_recorded():
    record = write_record()
    assert changed_since(record) == []
    assert changed_since(record) == [], "reading does not use the record up"
    os.close(record)


def test_the_same_files_are_no_change():
    files = {"main": ("/app/main.py", 10, 1), "views": ("/app/views.py", 20, 2)}
    assert changed_files(files, dict(files)) == []


def test_another_size_time_or_place_is_a_change():
    before = {name: (f"/app/{name}.py", 10, 1) for name in ("same", "size", "time", "place")}
    now = before | {
        "size": ("/app/size.py", 11, 1),
        "time": ("/app/time.py", 10, 2),
        "place": ("/release-43/place.py", 10, 1),
    }
    assert changed_files(before, now) == ["/app/size.py", "/app/time.py", "/release-43/place.py"]


def test_a_module_that_only_one_has_imported_is_no_change():
    main = {"main": ("/app/main.py", 10, 1)}
    late = {"late": ("/app/late.py", 10, 1)}
    assert changed_files(main, main | late) == []
    assert changed_files(main | late, main) == []


def test_one_file_under_two_names_is_told_once():
    before = {"__main__": ("/app/main.py", 10, 1), "main": ("/app/main.py", 10, 1)}
    now = dict.fromkeys(before, ("/app/main.py", 11, 1))
    assert changed_files(before, now) == ["/app/main.py"]


def test_a_file_that_is_only_touched_is_no_change(tmp_path, monkeypatch):
    path = tmp_path / "touched.py"
    path.write_text("number = 1")
    monkeypatch.setitem(sys.modules, "touched", module(path))
    record = write_record()
    os.utime(path, ns=(1, 1))
    assert changed_since(record) == []
    path.write_text("number = 2")
    assert changed_since(record) == [str(path)], "the same size, and another content"
    os.close(record)


def test_a_file_too_large_to_be_read_changes_with_its_time(tmp_path, monkeypatch):
    path = tmp_path / "large.so"
    path.write_bytes(bytes((1 << 20) + 1))
    monkeypatch.setitem(sys.modules, "large", module(path))
    record = write_record()
    os.utime(path, ns=(1, 1))
    assert changed_since(record) == [str(path)]
    os.close(record)


def test_modules_without_a_file_are_left_out(tmp_path):
    there = tmp_path / "there.py"
    there.write_text("pass")
    modules = {"there": module(there), "builtin": module(None), "gone": module(tmp_path / "gone.py")}
    about = there.stat()
    assert loaded_files(modules) == {"there": (str(there), about.st_size, about.st_mtime_ns)}


def test_a_system_that_can_not_keep_a_record_is_not_asked_for_one(monkeypatch):
    def missing(*_arguments):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    assert can_record()
    monkeypatch.setattr(os, "memfd_create", missing)
    assert can_record(), "in a file without a name"
    monkeypatch.setattr("tempfile.TemporaryFile", missing)
    assert not can_record()
