"""Writes docs/restart.svg and docs/status.svg: what these commands show, of a service that is started for it.

    python docs/make_terminal_pictures.py

Needs gracehttp[top], whose terminal library draws them.
"""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

FOLDER = Path(__file__).parent
WIDTH = 104
GOOD = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
"""
BROKEN = "import nothing_like_it\n" + GOOD
PROGRAM = [sys.executable, "-m", "gracehttp"]


def run(folder: str, *arguments: str) -> str:
    """What a command shows on a terminal that knows colours, below the line in which it is typed."""
    ended = subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder,
        env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    shown = ended.stdout.replace(folder, "/srv/app").replace(sys.prefix, "/srv/app/venv")
    shown = re.sub(r"127\.0\.0\.1:\d+( *)", "127.0.0.1:8000 ", shown)
    return f"$ gracehttp {' '.join(arguments)}\n{shown.rstrip()}\n"


def picture(title: str, *shown: str) -> str:
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for text in shown:
        console.print(Text.from_ansi(text))
    return console.export_svg(title=title, unique_id=title.replace(" ", "-"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def main() -> None:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        application = Path(folder, "main.py")
        application.write_text(GOOD)
        command = [
            *PROGRAM,
            "serve",
            "main:app",
            "--bind",
            f"127.0.0.1:{port}",
            "--workers",
            "2",
            "--pidfile",
            "app.pid",
        ]
        options = ["--lifespan", "off", "--max-connections", "1000"]
        environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        with subprocess.Popen(
            [*command, *options], cwd=folder, env=environ, stderr=subprocess.PIPE, text=True
        ) as server:
            assert server.stderr is not None
            try:
                next(line for line in server.stderr if "generation 1 serves" in line)
                good = run(folder, "restart", "--pidfile", "app.pid")
                application.write_text(BROKEN)
                broken = run(folder, "restart", "--pidfile", "app.pid")
                status = run(folder, "status", "--pidfile", "app.pid")
            finally:
                server.terminate()
                server.communicate()
    (FOLDER / "restart.svg").write_text(picture("gracehttp restart", good, broken), encoding="utf-8")
    (FOLDER / "status.svg").write_text(picture("gracehttp status", status), encoding="utf-8")


if __name__ == "__main__":
    main()
