"""The types of keyword arguments, as type checkers see them."""

from __future__ import annotations

import importlib.util
import re
import typing
from pathlib import Path

import pytest

from gracehttp.config import OPTIONS, keywords
from gracehttp.config.model import EMBEDDED_OPTIONS

ROOT = Path(__file__).parents[3]

RIGHT = """\
import pathlib
import gracehttp

async def app(scope, receive, send): ...

gracehttp.run("main:app", bind=[":8000"], workers=2, drain_timeout="1m", max_connections=500, reload=True)
grace = gracehttp.GraceHTTP(workers=2, pidfile=pathlib.Path("app.pid"), reload_dir=["a", pathlib.Path("b")])
grace.add_server(app, bind=":8000", certfile="cert.pem", max_body_size="10M", interface="asgi", warmup=None)  # wrong
with gracehttp.running(app, lifespan="off", access_log=True, drain_timeout=0.5) as server:
    reveal_type(server.url)
async def main() -> None:
    async with gracehttp.serving(app, threads=2, h2="off") as server:
        print(server.port)
"""
WRONG = """\
import gracehttp

gracehttp.run("main:app", worker=2)
gracehttp.run("main:app", workers="two")
gracehttp.GraceHTTP(certfile="cert.pem")
gracehttp.GraceHTTP().add_server("main:app", interface="scgi")
with gracehttp.running("main:app", pidfile="x"):
    pass
"""


def test_the_module_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_keywords", ROOT / "docs" / "make_keywords.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert Path(keywords.__file__).read_text(encoding="utf-8") == maker.module(), "run python docs/make_keywords.py"


def test_every_option_is_a_keyword_and_every_annotation_a_type() -> None:
    hints = typing.get_type_hints(keywords.RunKeywords)
    assert set(hints) == set(OPTIONS) - {"app", "bind"}
    assert set(EMBEDDED_OPTIONS) < set(typing.get_type_hints(keywords.EmbeddedKeywords))


@pytest.fixture(scope="module")
def mypy():
    return pytest.importorskip("mypy.api")


def errors_in(mypy, folder, text):
    """The lines of `text` with an error, each with what mypy says."""
    (folder / "script.py").write_text(text)
    options = [
        "--config-file=",
        "--check-untyped-defs",
        "--cache-dir",
        str(ROOT / ".mypy_cache"),
        "--follow-imports",
        "silent",
    ]
    out, err, _ = mypy.run([*options, str(folder / "script.py")])
    assert err == ""
    found = [line.split(":", 2)[1:] for line in out.splitlines() if ": error:" in line or "Revealed" in line]
    return {int(number): told for number, told in found}


def test_mypy_finds_mistakes_and_nothing_else(mypy, tmp_path) -> None:
    right = errors_in(mypy, tmp_path, RIGHT)
    assert right.keys() == {8, 10}
    assert 'Unexpected keyword argument "warmup"' in right[8]  # it is the program's
    assert '"str"' in right[10]
    wrong = errors_in(mypy, tmp_path, WRONG)
    assert wrong.keys() == {3, 4, 5, 6, 7}
    page = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"<!-- tested by test_keywords.py -->\n```\n(.*)\n```", page)
    assert wrong[3].endswith(shown.removeprefix("error: "))
    assert "Unexpected keyword argument" in wrong[5]
