"""What pip installs: the compiled build from a wheel, where no compiler is, and the interpreted one without either.

Each takes a minute and needs an index of packages, so these run with --installs alone. .ci/run does so.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.installs

ROOT = Path(__file__).parents[2]
SERVE = """
import asyncio, socket, sys
import gracehttp
from gracehttp.http.http1 import protocol

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"served"})

def ask(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sock.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
        return b"".join(iter(lambda: sock.recv(65536), b""))

async def main():
    async with gracehttp.serving(app, lifespan="off") as server:
        answer = await asyncio.to_thread(ask, server.port)
    print(answer.rpartition(b"\\r\\n")[2].decode(), protocol.__file__.rpartition(".")[2])

asyncio.run(main())
"""


def run(*command, path, **environ):
    """Run it without the variables of this process, and with those programs alone that are in `path`."""
    kept = {name: os.environ[name] for name in os.environ if name.startswith(("PIP_", "SSL_", "HTTP", "HOME", "TMP"))}
    ended = subprocess.run(
        command, env={**kept, "PATH": str(path), **environ}, cwd="/", capture_output=True, text=True, check=False
    )
    assert not ended.returncode, ended.stdout + ended.stderr
    return ended.stdout.strip()


class Environment:
    """An empty one, in which no compiler is found."""

    def __init__(self, folder):
        venv.create(folder, with_pip=True)
        self.bin = folder / "bin"
        self.install = [str(self.bin / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]

    def pip(self, *arguments):
        run(*self.install, *map(str, arguments), path=self.bin)

    def version(self, **environ):
        return run(str(self.bin / "gracehttp"), "--version", path=self.bin, **environ).partition(", ")[2]

    def serve(self, **environ):
        return run(str(self.bin / "python"), "-c", SERVE, path=self.bin, **environ)


def sources(folder):
    """A copy of what pip needs, so that it finds nothing that was built before."""
    for name in subprocess.check_output(["git", "ls-files", "src"], cwd=ROOT, text=True).split():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def test_wheel_serves_compiled_where_no_compiler_is(tmp_path):
    folder = tmp_path / "wheels"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder)]
    (source := tmp_path / "source").mkdir()
    run(*command, str(sources(source)), path=os.environ["PATH"], GRACEHTTP_COMPILED="require")
    (wheel,) = folder.glob("*.whl")
    assert sysconfig.get_platform().replace("-", "_") in wheel.name
    environment = Environment(tmp_path / "environment")
    environment.pip(wheel)
    assert environment.version() == "compiled"
    assert environment.serve(GRACEHTTP_COMPILED="require") == "served so"
    assert environment.version(GRACEHTTP_COMPILED="off") == "interpreted (GRACEHTTP_COMPILED=off)"
    assert environment.serve(GRACEHTTP_COMPILED="off") == "served py"


def test_without_compiler_and_wheel_it_is_installed_all_the_same_and_says_so(tmp_path):
    (source := tmp_path / "source").mkdir()
    environment = Environment(tmp_path / "environment")
    environment.pip(sources(source))
    assert environment.version() == "interpreted (no C compiler was found when it was installed)"
    assert environment.serve() == "served py"


def test_source_that_can_not_be_compiled_is_installed_and_the_reason_is_kept(tmp_path):
    (source := tmp_path / "source").mkdir()
    types = sources(source) / "src" / "gracehttp" / "net" / "poller.pxd"
    types.write_text(types.read_text() + "\nthis is no Cython\n")
    environment = Environment(tmp_path / "environment")
    run(*environment.install, str(source), path=os.environ["PATH"])
    assert environment.version() == "interpreted (compiling it failed when it was installed)"
    show = "from gracehttp.compiled import BUILD; print(BUILD.details)"
    assert "poller.pxd" in run(str(environment.bin / "python"), "-c", show, path=environment.bin)
    assert environment.serve() == "served py"
