"""Whether a process that has loaded something stands for a fresh one."""

from __future__ import annotations

import mmap
import os
import sys
import threading
import time

import pytest

from gracehttp.worker.forking import loaded
from gracehttp.worker.forking.loaded import Loaded, difference, loaded_now, looked_up_again, unfit

FILE = (1, 2, 3, 4)
BEFORE = Loaded({"/a.py": FILE, "/gone": None}, {"": frozenset(), "/site": frozenset({"a.pth"})})


@pytest.mark.parametrize(
    ("files", "names", "expected"),
    [
        ({}, {}, ""),
        ({"/a.py": (1, 2, 3, 5)}, {}, "/a.py has changed"),
        ({"/a.py": None}, {}, "/a.py has changed"),
        ({"/gone": FILE}, {}, "/gone has changed"),
        ({}, {"/site": frozenset({"a.pth", "b.pth"})}, "/site/b.pth has come or gone"),
        ({}, {"/site": frozenset()}, "/site/a.pth has come or gone"),
        ({}, {"": frozenset({"json.py"})}, "json.py has come or gone"),
    ],
)
def test_each_file_and_each_name_counts(files, names, expected):
    now = Loaded({**BEFORE.files, **files}, {**BEFORE.names, **names})
    assert difference(BEFORE, now) == expected


def test_what_was_loaded_is_found_the_same_again():
    before = loaded_now()
    assert difference(before, looked_up_again(before)) == ""
    assert loaded.__file__ in before.files
    assert os.path.realpath(sys.executable) in before.files, "it is mapped"
    assert os.path.join(sys.prefix, "pyvenv.cfg") in before.files


def test_a_file_that_is_replaced_by_one_of_the_same_content_is_another_one(tmp_path, monkeypatch):
    file = tmp_path / "one_that_is_loaded.py"
    file.write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("one_that_is_loaded")
    try:
        before = loaded_now()
        about = file.stat()
        new = tmp_path / "new"
        new.write_text("")
        os.utime(new, ns=(about.st_atime_ns, about.st_mtime_ns))
        new.rename(file)
        assert difference(before, looked_up_again(before)) == f"{file} has changed"
    finally:
        del sys.modules["one_that_is_loaded"]


@pytest.mark.parametrize("name", ["json.py", "asyncio", "more.pth", "sitecustomize.py", "re.cpython-311-x86_64.so"])
def test_what_would_be_found_first_or_read_at_each_start_counts(tmp_path, monkeypatch, name):
    monkeypatch.syspath_prepend(tmp_path)
    before = loaded_now()
    (tmp_path / "main.py").write_text("")
    (tmp_path / "gracehttp.toml").write_text("")
    (tmp_path / "json.txt").write_text("")
    assert difference(before, looked_up_again(before)) == "", "nothing that is loaded depends on them"
    (tmp_path / name).write_text("")
    assert difference(before, looked_up_again(before)) == f"{tmp_path / name} has come or gone"


def test_a_module_in_the_working_directory_counts_as_in_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = loaded_now()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "json.py").write_text("")
    monkeypatch.chdir(elsewhere)
    assert difference(before, looked_up_again(before)) == "json.py has come or gone"


def test_an_interpreter_whose_name_leads_elsewhere_is_another_one(tmp_path, monkeypatch):
    name = tmp_path / "python"
    name.symlink_to(os.path.realpath(sys.executable))
    monkeypatch.setattr(sys, "executable", str(name))
    before = loaded_now()
    name.unlink()
    name.symlink_to(os.__file__)
    assert difference(before, looked_up_again(before)) == f"{name} has changed"


def test_options_of_openssl_that_are_other_ones_count(tmp_path, monkeypatch):
    options = tmp_path / "openssl.cnf"
    options.write_text("")
    monkeypatch.setenv("OPENSSL_CONF", str(options))
    before = loaded_now()
    options.write_text("openssl_conf = more\n")
    assert difference(before, looked_up_again(before)) == f"{options} has changed"


def test_what_the_system_reads_at_each_start_counts(monkeypatch):
    monkeypatch.delenv("OPENSSL_CONF", raising=False)
    files = loaded_now().files
    assert {"/etc/localtime", "/etc/ld.so.cache", "/etc/ld.so.preload"} <= files.keys()
    assert [path for path in files if path.endswith("/openssl.cnf")]


def test_a_file_that_is_mapped_and_was_replaced_while_it_was_loaded_counts(of_its_own, tmp_path):
    file = tmp_path / "library.so"
    file.write_bytes(bytes(4096))
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ):
        (tmp_path / "new.so").write_bytes(bytes(4096))
        (tmp_path / "new.so").rename(file)
        found = loaded_now()
    assert str(file) in found.files
    assert unfit(Loaded({str(file): found.files[str(file)]}, {})) == f"{file} changed while it was loaded"


# --- a process that can't stand for another one at all ---

LONG_AGO = Loaded({}, {})


@pytest.fixture
def of_its_own(monkeypatch):
    """The facts of this process, which runs tests, are others."""
    monkeypatch.setattr(sys, "path", [one for one in sys.path if os.path.isabs(one)])
    monkeypatch.setattr(loaded, "thread_count", lambda: 1)
    monkeypatch.setattr(loaded, "_is_watched", lambda: False)
    monkeypatch.setattr(loaded, "_opened", lambda channel: "")


def test_one_that_has_loaded_only_what_was_there_before_it_began_is_fit(of_its_own, tmp_path):
    assert unfit(LONG_AGO) == ""
    assert unfit(Loaded({os.path.realpath(sys.executable): FILE, str(tmp_path / "gone"): None}, {})) == ""


def test_one_that_has_loaded_a_file_that_is_younger_is_not(of_its_own, tmp_path):
    file = tmp_path / "new.py"
    file.write_text("")
    os.utime(file, (1, 1))  # as tar and rsync do; the time of the change is the kernel's
    assert unfit(Loaded({str(file): FILE}, {})) == f"{file} changed while it was loaded"


def test_one_of_which_nothing_tells_when_it_began_is_not(of_its_own, monkeypatch):
    def no_proc():
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(loaded, "_began_at", no_proc)
    assert unfit(LONG_AGO) == "nothing tells when it began (No such file or directory)"


def test_one_with_threads_is_not(of_its_own, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(loaded, "_is_watched", lambda: False)
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        assert "threads, and fork copies one" in unfit(LONG_AGO)
    finally:
        over.set()
        thread.join()


def test_one_that_is_traced_is_not(of_its_own, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(sys, "path", [])
    before = sys.getprofile()
    sys.setprofile(lambda *_: None)
    try:
        found = unfit(LONG_AGO)
    finally:
        sys.setprofile(before)
    assert found == "its interpreter is traced"


def test_one_whose_modules_are_found_from_the_working_directory_is_not(of_its_own, monkeypatch):
    monkeypatch.setattr(sys, "path", ["relative"])
    assert unfit(LONG_AGO) == "sys.path depends on the working directory"


def test_the_kernel_tells_when_this_process_began():
    assert time.time() - loaded._began_at() >= time.process_time() - 0.1
    assert loaded._began_at() < time.time()
