"""How the supervisor finds the program that was typed in: as a shell does."""

from __future__ import annotations

import os
import shutil

import pytest

from gracehttp.supervisor.processes.command_line import found_program


@pytest.fixture
def folders(tmp_path, monkeypatch):
    for folder, name, mode in (("a", "not_executable", 0o644), ("b", "not_executable", 0o755), ("b", "tool", 0o755)):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text("#!/bin/sh\n")
        (tmp_path / folder / name).chmod(mode)
    (tmp_path / "a" / "tool").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'a'}{os.pathsep}{tmp_path / 'b'}")
    return tmp_path


@pytest.mark.parametrize("name", ["tool", "not_executable", "missing", "/bin/sh", "/bin", "./tool", ""])
def test_a_program_is_found_as_a_shell_finds_it(folders, name):
    assert found_program(name) == (shutil.which(name) or "")


@pytest.mark.parametrize("name", ["sh", "missing"])
def test_without_path_the_system_has_one(monkeypatch, name):
    monkeypatch.delenv("PATH")
    assert found_program(name) == (shutil.which(name) or "")
