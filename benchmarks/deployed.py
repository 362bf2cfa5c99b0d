"""The application that scenes 14 and 17 deploy: its answer is its version. It is written anew for each deploy."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .installed import Installation

MODULE = "deployed"
BROKEN = 'raise RuntimeError("this code does not start")'

_SOURCE = """
{first}
CODE = {code}
BODY = b"%d" % CODE
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(BODY))]
WSGI_HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]

async def app(scope, receive, send):
    while scope["type"] == "lifespan":
        message = await receive()
        await send({{"type": message["type"] + ".complete"}})
        if message["type"] == "lifespan.shutdown":
            return
    await send({{"type": "http.response.start", "status": 200, "headers": HEADERS}})
    await send({{"type": "http.response.body", "body": BODY}})

def wsgi(environ, start_response):
    start_response("200 OK", WSGI_HEADERS)
    return [BODY]
"""


def deploy(folder: Path, code: int, *, first: str = "") -> None:
    """Put this version into the folder, as a whole. `first` is what runs before all else when it is imported.

    Each version has another length: bytecode of an older one, written within the same second, is not taken for it
    (PEP 552 compares time in seconds, and size).
    """
    source = _SOURCE.format(code=code, first=first) + "#" * code + "\n"
    draft = folder / "draft"
    draft.write_text(source)
    os.replace(draft, folder / f"{MODULE}.py")


def import_seconds(folder: Path, installation: Installation, core: int) -> float:
    """How long a fresh interpreter takes to import it."""
    ask = f"import time; t = time.perf_counter(); import {MODULE}; print(time.perf_counter() - t)"
    command = ["taskset", "-c", str(core), str(installation.python), "-c", ask]
    said = subprocess.run(
        command, cwd=folder, env=installation.environment(), capture_output=True, text=True, check=True
    )
    return float(said.stdout)
