"""Which build runs, and why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from gracehttp import compiled
from gracehttp.compiled import Build, check, decide
from gracehttp.config.sources import mistyped_variables
from gracehttp.errors import ConfigurationError, StartError

SOURCE = b"answer = 42\n"


@pytest.fixture
def package(tmp_path):
    """A package of one module that was compiled."""
    (tmp_path / "module.py").write_bytes(SOURCE)
    (tmp_path / f"module{EXTENSION_SUFFIXES[0]}").write_bytes(b"")
    record(tmp_path, reason="", sources={"module.py": zlib.crc32(SOURCE)}, modules=["module.py"])
    return tmp_path


def record(package, **content):
    (package / compiled.RECORD).write_text(json.dumps(content))


@pytest.mark.parametrize("environ", [{}, {"GRACEHTTP_COMPILED": "auto"}, {"GRACEHTTP_COMPILED": "require"}])
def test_what_was_compiled_runs(package, environ):
    assert decide(environ, package) == Build(True)


def test_off_runs_interpreted(package):
    assert str(decide({"GRACEHTTP_COMPILED": "off"}, package)) == "interpreted (GRACEHTTP_COMPILED=off)"


def test_reason_for_which_nothing_was_compiled_is_told(package):
    record(package, reason="no C compiler was found when it was installed", details="There is no gcc.", sources={})
    build = decide({}, package)
    assert str(build) == "interpreted (no C compiler was found when it was installed)"
    assert build.details == "There is no gcc."


def test_source_that_was_changed_since_runs_as_it_stands(package):
    (package / "module.py").write_bytes(SOURCE.replace(b"42", b"43"))
    assert str(decide({}, package)) == "interpreted (module.py was changed after it was compiled)"


def test_source_that_is_gone_makes_no_compiled_build(package):
    (package / "module.py").unlink()
    assert not decide({}, package).compiled


def test_a_compiled_module_that_is_gone_makes_no_compiled_build(package):
    (package / f"module{EXTENSION_SUFFIXES[0]}").unlink()
    assert str(decide({}, package)) == "interpreted (the compiled module of module.py is gone)"


def test_another_python_has_another_record(package):
    (package / compiled.RECORD).unlink()
    assert str(decide({}, package)) == "interpreted (it was not installed for this Python)"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"reason": ""}', b"\xff", b'{"reason": "", "sources": 3}'])
def test_damaged_record_makes_no_compiled_build(package, content):
    (package / compiled.RECORD).write_bytes(content)
    assert str(decide({}, package)) == "interpreted (the record of its installation can't be read)"


def test_unknown_choice_is_a_mistake():
    with pytest.raises(ConfigurationError, match=r"GRACEHTTP_COMPILED is 'on'\.\nHint: it can be auto, off, require"):
        check({"GRACEHTTP_COMPILED": "on"})


def test_what_is_required_and_not_there_can_not_start(monkeypatch):
    monkeypatch.setattr(compiled, "BUILD", Build(False, "no C compiler was found", "There is no gcc."))
    check({})
    with pytest.raises(StartError, match=r"but gracehttp is interpreted \(no C compiler was found\)") as caught:
        check({"GRACEHTTP_COMPILED": "require"})
    assert caught.value.details == "There is no gcc."


def test_required_build_that_is_there_starts(monkeypatch):
    monkeypatch.setattr(compiled, "BUILD", Build(True))
    check({"GRACEHTTP_COMPILED": "require"})


def test_variable_is_no_misspelled_option():
    assert mistyped_variables({"GRACEHTTP_COMPILED": "off"}) == []


SHOW = """
from gracehttp.compiled import BUILD
from gracehttp.net import deadlines
from gracehttp.http.http1 import protocol
print(BUILD.compiled, deadlines.__file__.endswith(".py"), protocol.__file__.endswith(".py"))
"""


@pytest.mark.parametrize("choice", ["auto", "off"])
def test_all_modules_are_of_one_build(choice):
    environ = {**os.environ, "GRACEHTTP_COMPILED": choice}
    shown = subprocess.run([sys.executable, "-c", SHOW], env=environ, capture_output=True, text=True, check=True)
    runs_compiled = choice != "off" and decide(environ, compiled._PACKAGE).compiled
    assert shown.stdout.split() == [str(runs_compiled), str(not runs_compiled), str(not runs_compiled)]


def test_each_file_of_types_is_of_a_module_that_is_compiled():
    root = Path(__file__).parents[2]
    setup = (root / "setup.py").read_text(encoding="utf-8")
    for types in (root / "src").glob("**/*.pxd"):
        module = ".".join(types.relative_to(root / "src").with_suffix("").parts)
        assert f'"{module}",' in setup
        assert types.with_suffix(".py").exists()
