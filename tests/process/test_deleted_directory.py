"""A working directory that was deleted: what doesn't need it works, what does says so in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from deadlines import DEADLINE_SECONDS


@pytest.fixture
def run_there(tmp_path):
    """Runs the interpreter with these arguments in a folder that was deleted."""

    def run(*arguments):
        gone = tmp_path / "gone"
        gone.mkdir()
        enter = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
        return subprocess.run(
            ["sh", "-c", enter, "sh", gone, sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            env={**os.environ, "PWD": str(gone)},
            check=False,
        )

    return run


def test_the_version_is_told(run_there):
    ended = run_there("-m", "gracehttp", "--version")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_package_can_be_imported(run_there):
    if run_there("-c", "import asyncio").returncode:
        pytest.skip("this interpreter can't even import asyncio there (CPython 3.13.0)")
    ended = run_there("-c", "import gracehttp")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_commands_reach_a_supervisor_from_there(start, run_there):
    server = start("-m", "gracehttp", "serve", "gracehttp.demo.app:application", "--bind", "127.0.0.1:0")
    server.wait_until_serving()
    for command in ("status", "restart", "stop"):
        ended = run_there("-m", "gracehttp", command, "--pid", server.pid)
        assert (ended.returncode, ended.stderr.count("Traceback")) == (0, 0), ended.stderr


@pytest.mark.parametrize("options", [(), ("--app-dir", "/")])
def test_a_service_that_would_start_there_says_what_is_wrong(run_there, options):
    ended = run_there("-m", "gracehttp", "serve", "gracehttp.demo.app:application", *options)
    assert ended.returncode == 2
    assert ended.stderr.startswith("gracehttp: error: the working directory was deleted")
    assert "Hint: cd to a folder that exists" in ended.stderr
    assert len(ended.stderr.splitlines()) == 2


def test_check_says_what_is_wrong(run_there):
    ended = run_there("-m", "gracehttp", "check", "gracehttp.demo.app:application")
    assert ended.returncode == 2
    assert "relative to the working directory, and that was deleted" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_check_finds_an_application_that_lies_elsewhere(run_there):
    ended = run_there("-m", "gracehttp", "check", "gracehttp.demo.app:application", "--app-dir", "/")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_check_says_what_is_missing(run_there):
    ended = run_there("-m", "gracehttp", "check", "nothing_like_it:app", "--app-dir", "/")
    assert ended.returncode == 3
    assert "there is no module 'nothing_like_it'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_restart_there_tells_that_the_folder_is_gone(start):
    server = start("-m", "gracehttp", "serve", "gracehttp.demo.app:application", "--bind", "127.0.0.1:0")
    server.wait_until_serving()
    server.folder.rename(server.folder.with_name(f"{server.folder.name}-elsewhere"))
    refused = subprocess.run(
        [sys.executable, "-m", "gracehttp", "restart", "--pid", str(server.pid)],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    server.folder.with_name(f"{server.folder.name}-elsewhere").rename(server.folder)  # for the end of the test
    assert refused.returncode == 1
    assert f"in {server.folder}: No such file or directory (that folder is gone)" in refused.stderr
