"""A hint names options as its reader writes them: at the command line, or in a script."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gracehttp
from gracehttp.config import OPTIONS
from gracehttp.errors import ConfigurationError
from gracehttp.hints import Hint, Named, for_a_script, hint, in_python


@pytest.mark.parametrize(
    ("written", "for_the_command_line", "in_a_script"),
    [
        (
            hint("{} names the directory to look in", Named("app_dir")),
            "--app-dir names the directory to look in",
            "app_dir= names the directory to look in",
        ),
        (hint("see {}", Named("certfile")), "see --certfile", "see certfile="),
        (hint("leave out {}", Named("factory", True)), "leave out --factory", "leave out factory=True"),
        (
            hint("leave Date out with {}", Named("date_header", False)),
            "leave Date out with --no-date-header",
            "leave Date out with date_header=False",
        ),
        (
            hint("give {} or {}", Named("interface", "asgi"), Named("interface", "wsgi")),
            "give --interface asgi or --interface wsgi",
            'give interface="asgi" or interface="wsgi"',
        ),
        (
            hint("leave out {}; it is for ASGI", Named("lifespan", "on")),
            "leave out --lifespan on; it is for ASGI",
            'leave out lifespan="on"; it is for ASGI',
        ),
        (hint("give {}", Named("workers", 1)), "give --workers 1", "give workers=1"),
        (hint("write {} {}", Named("factory", True), "a:{}"), "write --factory a:{}", "write factory=True a:{}"),
    ],
)
def test_option_in_a_hint_is_spelled_for_its_reader(written: Hint, for_the_command_line: str, in_a_script: str) -> None:
    assert written == for_the_command_line
    assert in_python(written) == in_a_script


@pytest.mark.parametrize(
    "text", ["gracehttp stop --pidfile x ends it", "write it with --no-such-thing", "make its folder"]
)
def test_hint_without_options_stays_as_it_is(text: str) -> None:
    assert in_python(text) == text


def test_error_for_a_script_can_be_spelled_twice() -> None:
    error = ConfigurationError("x", hint=hint("see {}", Named("app_dir")))
    assert for_a_script(for_a_script(error)).hint == "see app_dir="


def test_each_hint_names_an_option_that_exists() -> None:
    named = set()
    for file in Path(gracehttp.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Named":
                named |= {one.value for one in call.args[:1] if isinstance(one, ast.Constant)}
    assert named
    assert named <= set(OPTIONS)
