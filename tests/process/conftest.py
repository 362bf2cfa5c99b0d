"""Fixtures of the tests with real processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys

import pytest
from server_harness import Server, is_alive


@pytest.fixture
def start(tmp_path):
    """Start servers; they and their workers are ended when the test is over, however it ended."""
    running: list[Server] = []

    def begin(*arguments, folder=tmp_path, **options):
        server = Server(folder, *arguments, **options)
        running.append(server)
        return server

    yield begin
    for server in running:
        server.end()


@pytest.fixture
def browse(tmp_path):
    """Open a page in Chromium, which is ended when the test is over. Its own sandbox needs what root and containers
    don't have, so it is off: the pages are those of the tests."""
    # Debian's name, those of other distributions, and Google's.
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("chromium is not installed")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    options += ["--ignore-certificate-errors", f"--user-data-dir={tmp_path / 'profile'}"]
    begun = []

    def open_page(url):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        begun.append(subprocess.Popen([program, *options, url], **quiet))

    yield open_page
    for browser in begun:
        browser.terminate()
        try:
            browser.wait(30)
        except subprocess.TimeoutExpired:
            browser.kill()
            browser.wait()


@pytest.fixture
def at_a_terminal(tmp_path):
    """Run the interpreter in a session of its own on a pseudo-terminal; returns its PID and the other end."""
    begun = []

    def begin(*arguments, **environment):
        plain = {"PYTHONDONTWRITEBYTECODE": "1", "TERM": "xterm", "NO_COLOR": "", "FORCE_COLOR": ""}
        variables = {**os.environ, **plain, **environment}
        pid, terminal = os.forkpty()
        if pid == 0:
            try:
                for number in (signal.SIGINT, signal.SIGHUP):  # who runs the tests in the background may ignore them
                    signal.signal(number, signal.SIG_DFL)
                os.chdir(tmp_path)
                os.execve(sys.executable, [sys.executable, *arguments], variables)
            finally:
                os._exit(127)
        begun.append((pid, terminal))
        return pid, terminal

    yield begin
    for pid, terminal in begun:
        if is_alive(pid):
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        with contextlib.suppress(OSError):  # the test may have closed it
            os.close(terminal)
