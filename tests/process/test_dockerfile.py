"""The commands of the Dockerfile that `gracehttp example dockerfile` prints, without a Docker: in a venv.

No image is built here. What that would show besides is in docs/kubernetes.md.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import free_port, get, wait_until

ROOT = Path(__file__).parents[2]
APPLICATION = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})
"""


def dockerfile(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "gracehttp", "example", "dockerfile", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_hadolint_finds_nothing(tmp_path):
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is not installed")
    (tmp_path / "Dockerfile").write_text(dockerfile(tmp_path, "main:app"))
    done = subprocess.run([hadolint, tmp_path / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.installs
def test_its_commands_give_an_environment_that_serves_and_ends_at_term(tmp_path):
    port = free_port()
    text = dockerfile(tmp_path, "main:app", "--bind", f"127.0.0.1:{port}", "--workers", "2", "--lifespan", "off")
    (tmp_path / "main.py").write_text(APPLICATION)
    (tmp_path / "requirements.txt").write_text("")
    build, _, image = text.rpartition("\nFROM ")
    for command in re.findall(r"^RUN (.*)$", build, re.MULTILINE):
        here = command.replace("/venv", f"{tmp_path}/venv").replace(" gracehttp ", f" {shlex.quote(str(ROOT))} ")
        here = re.sub(r"^python ", f"{sys.executable} ", here)
        environ = {**os.environ, "GRACEHTTP_COMPILED": "off"}
        subprocess.run(here, shell=True, cwd=tmp_path, env=environ, check=True)
    (command,) = re.findall(r"^CMD (.*)$", image, re.MULTILINE)
    (path,) = re.findall(r"^ENV PATH=(\S+)", image, re.MULTILINE)
    (stop_signal,) = re.findall(r"^STOPSIGNAL (\w+)$", image, re.MULTILINE)
    environ = {**os.environ, "PATH": path.replace("/venv", f"{tmp_path}/venv").replace("$PATH", os.environ["PATH"])}
    with subprocess.Popen(json.loads(command), cwd=tmp_path, env=environ) as server:
        try:
            assert wait_until(lambda: _answer(port)) == (200, "served")
            server.send_signal(signal.Signals[stop_signal])
            assert server.wait(DEADLINE_SECONDS) == 0
        finally:
            server.kill()


def _answer(port):
    try:
        return get(port)
    except ConnectionRefusedError:
        return None
