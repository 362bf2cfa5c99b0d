"""Hints name options as whoever reads them writes them."""

from __future__ import annotations

import pytest

from gracehttp.config.hints import in_python


@pytest.mark.parametrize(
    ("for_the_command_line", "for_a_script"),
    [
        ("--app-dir names the directory to look in", "app_dir= names the directory to look in"),
        ("see --certfile", "see certfile="),
        ("leave out --factory", "leave out factory=True"),
        ("give --interface asgi or --interface wsgi", 'give interface="asgi" or interface="wsgi"'),
        ("leave out --lifespan on; it is for ASGI", 'leave out lifespan="on"; it is for ASGI'),
        ("gracehttp stop --pidfile x ends it", "gracehttp stop --pidfile x ends it"),
        ("write it with --no-such-thing", "write it with --no-such-thing"),
    ],
)
def test_option_in_a_hint_is_written_as_in_a_script(for_the_command_line: str, for_a_script: str) -> None:
    assert in_python(for_the_command_line) == for_a_script
