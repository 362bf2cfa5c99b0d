"""The arguments of `serve` as they are read without click: the same values, and never an answer where click has one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gracehttp.cli.arguments import CONFIG, CONFIG_VARIABLE, flags_of, negative_flag_of, read
from gracehttp.cli.program import program
from gracehttp.cli.serve import serve
from gracehttp.config import OPTIONS

FLAGS = ["--config", "-c", "--help", "-h", "--wrokers", "-x", "--"] + [
    flag
    for option in OPTIONS.values()
    if option.name != "app"
    for flag in (*flags_of(option), negative_flag_of(option))
    if flag
]
TEXTS = ["main:app", "4", "", "-", "-w", "--bind", "a=b", "=", "\udcff", "--workers=3"]


def by_click(arguments: list[str]) -> dict[str, object] | None:
    group = click.Context(program, info_name="gracehttp", **program.context_settings)
    try:
        context = serve.make_context("serve", list(arguments), group)
    except (click.UsageError, click.exceptions.Exit):
        return None
    return {name: value for name, value in context.params.items() if value not in (None, ())}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["main:app"],
        ["main:app", "-w", "4", "--bind", ":80", "-b:81", "--bind=:82"],
        ["-w4", "main:app", "--workers", "5"],
        ["--preload", "main:app", "--no-access-log"],
        ["--access-log", "--no-access-log", "--access-log"],
        ["--ssl-certfile", "a.pem", "--certfile=b.pem"],
        ["--config", "gracehttp.toml"],
        ["-c", "a", "--config=b"],
        ["--bind", "--workers"],
        ["--user="],
    ],
    ids=" ".join,
)
def test_plain_arguments_are_read_as_click_reads_them(arguments):
    values = read(arguments, {})
    assert values is not None
    assert values == by_click(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["-h"],
        ["main:app", "other:app"],
        ["--wrokers", "4"],
        ["--workers"],
        ["--preload=yes"],
        ["-"],
        ["--"],
    ],
    ids=" ".join,
)
def test_what_a_person_must_be_told_of_is_left_to_click(arguments):
    assert read(arguments, {}) is None


@given(st.lists(st.one_of(st.sampled_from(FLAGS), st.sampled_from(TEXTS)), max_size=6))
def test_no_arguments_are_read_otherwise_than_click_reads_them(arguments):
    values = read(arguments, {})
    if values is not None:
        assert values == by_click(arguments)


@pytest.mark.parametrize("given_file", ["", "gracehttp.toml"])
def test_the_variable_names_the_file_of_options_where_no_argument_does(given_file):
    environ = {CONFIG_VARIABLE: given_file}
    assert read([], environ) == ({CONFIG: Path(given_file)} if given_file else {})
    assert read(["-c", "other.toml"], environ) == {CONFIG: Path("other.toml")}


def test_neither_supervisor_nor_worker_loads_click(tmp_path):
    (tmp_path / "application.py").write_text("def app(environ, start_response): ...\n")
    code = (
        "import sys\n"
        "from gracehttp.api import GraceHTTP\n"
        "GraceHTTP.run = lambda self: print(sorted({'click', 'gracehttp.api', 'uuid'} & set(sys.modules)))\n"
        "from gracehttp.cli import main\n"
        "main(['serve', 'application:app', '-w', '2', '--bind', '127.0.0.1:0'])\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "['gracehttp.api']\n"), ended.stderr
