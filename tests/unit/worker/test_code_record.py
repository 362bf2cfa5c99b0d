"""What counts as other code."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import time
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from gracehttp.worker import code_record
from gracehttp.worker.code_record import ImportNotes, can_record, changed_files, loaded_files, note_ahead


def module(path):
    made = ModuleType("made")
    made.__file__ = None if path is None else str(path)
    return made


def write_record():
    return ImportNotes().write_record()


def changed_since(record):
    return ImportNotes(record).changed()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write a module of that name and this content, and forget what was imported of it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    written = set()

    def write(name, content):
        path = tmp_path / f"{name}.py"
        path.write_text(content)
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        written.add(name)
        return str(path)

    yield write
    for name in written:
        sys.modules.pop(name, None)


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


# --- files that change while they are imported ---


def test_a_file_that_changed_after_its_import_is_recorded_as_it_was_imported(files):
    path = files("noted_first", "number = 1")
    with ImportNotes() as first:
        importlib.import_module("noted_first")
        files("noted_first", "number = 2")
        sys.modules["noted_first"] = module(path)
    record = first.write_record()
    files("noted_first", "number = 2")
    with ImportNotes(record) as second:
        importlib.import_module("noted_first")
    assert second.changed() == [path]
    files("noted_first", "number = 1")
    with ImportNotes(record) as third:
        importlib.import_module("noted_first")
        files("noted_first", "number = 3")
        sys.modules["noted_first"] = module(path)
    assert third.changed() == [], "it has imported what the first one has, whatever came then"
    os.close(record)


def test_a_process_that_imported_files_before_and_after_a_change_has_halves(files):
    a, _ = files("half_a", "number = 1"), files("half_b", "number = 1")
    with ImportNotes() as notes:
        importlib.import_module("half_a")
        files("half_a", "number = 2")
        assert notes.halves() == [], "it has only what was there before"
        files("half_b", "number = 2")
        importlib.import_module("half_b")
    assert notes.halves() == [a]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere files have the time of day")
def test_a_change_in_the_first_moment_counts_though_the_time_of_files_is_behind_the_time_of_day(files, monkeypatch):
    a = files("early", "number = 1")
    ahead = SimpleNamespace(time_ns=lambda: time.time_ns() + 10**9, clock_gettime_ns=time.clock_gettime_ns)
    monkeypatch.setattr(code_record, "time", ahead)
    with ImportNotes() as notes:
        importlib.import_module("early")
        files("late", "number = 2")
        importlib.import_module("late")
        files("early", "number = 2")
    assert notes.halves() == [a]


def test_a_module_that_the_application_writes_before_it_imports_it_is_no_half(files):
    files("half_c", "number = 1")
    with ImportNotes() as notes:
        importlib.import_module("half_c")
        files("generated", "number = 2")
        importlib.import_module("generated")
    assert notes.halves() == []


def test_what_was_noted_before_a_fork_is_not_looked_at_again(files, monkeypatch):
    path = files("loaded_early", "number = 1")
    importlib.import_module("loaded_early")
    monkeypatch.setattr(code_record, "_ahead", {})
    note_ahead()
    looked_at = []
    monkeypatch.setattr(code_record, "_facts", lambda path: looked_at.append(path))
    with ImportNotes() as first:
        pass
    Path(path).write_text("number = 22")
    record = first.write_record()
    with ImportNotes(record) as second:
        pass
    assert second.changed() == [], "both have what was loaded before they were forked"
    assert path not in looked_at
    os.close(record)


def test_what_is_imported_again_counts_as_it_was_imported(files, monkeypatch):
    path = files("loaded_again", "number = 1")
    importlib.import_module("loaded_again")
    monkeypatch.setattr(code_record, "_ahead", {})
    note_ahead()
    record = ImportNotes().write_record()
    files("loaded_again", "number = 2")
    with ImportNotes(record) as second:
        importlib.import_module("loaded_again")
    assert second.changed() == [path]
    os.close(record)


def test_the_import_system_is_as_before_when_the_notes_end():
    before = SourceFileLoader.path_stats
    with ImportNotes() as notes:
        assert SourceFileLoader.path_stats is not before
        notes.end()
        assert SourceFileLoader.path_stats is before
    assert SourceFileLoader.path_stats is before
