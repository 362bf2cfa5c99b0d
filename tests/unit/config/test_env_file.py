"""Files of variables: what a line means, and what wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from gracehttp.config import load, places
from gracehttp.config.env_file import completed, read
from gracehttp.errors import ConfigurationError


@pytest.mark.parametrize(
    ("line", "variables"),
    [
        ("A=1", {"A": "1"}),
        ("export A=1", {"A": "1"}),
        ("  A = one two  # three", {"A": "one two"}),
        ("A=url#fragment", {"A": "url#fragment"}),
        ("A=", {"A": ""}),
        ("A= # nothing", {"A": ""}),
        ("A='$B # \\n'  # c", {"A": "$B # \\n"}),
        ('A="a\\nb \\"c\\" \\$D"', {"A": 'a\nb "c" $D'}),
        ("A.B-C=postgres://u:p@h/d?x=1", {"A.B-C": "postgres://u:p@h/d?x=1"}),
        ("# A=1", {}),
        ("", {}),
    ],
)
def test_a_line_sets_a_variable(line: str, variables: dict[str, str]) -> None:
    assert read(line, "f") == variables


@pytest.mark.parametrize("line", ["A", "1A=2", "A='open", 'A="open', "A='a'b", "=1"])
def test_a_line_that_means_nothing_is_named(line: str) -> None:
    with pytest.raises(ConfigurationError, match=r"line 2 of the environment file \.env is not KEY=VALUE"):
        read(f"# first\n{line}\n", ".env")


def test_what_the_environment_has_stays_and_a_later_file_wins(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    one.write_text("A=1\nB=1\nC=1\n")
    two.write_text("B=2\nC=2\n")
    assert completed({"C": "0"}, [str(one), str(two)]) == {"A": "1", "B": "2", "C": "0"}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"cannot read the environment file .*/no: No such file.*\n.*--env-file"
    ):
        completed({}, [str(tmp_path / "no")])


def test_options_may_stand_in_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GRACEHTTP_WORKERS=3\nPORT=5000\nGRACEHTTP_PIDFILE=/run/x.pid\n")
    cli = {"app": "a:b", "env_file": (str(tmp_path / ".env"),)}
    configuration = load(cli=cli, environ={"PORT": "6000"}, file=None)
    assert configuration.process.workers == 3
    assert str(configuration.servers[0].bind.address) == "0.0.0.0:6000"


def test_its_name_may_stand_in_the_file_of_options_and_is_relative_to_that(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GRACEHTTP_PIDFILE=/run/x.pid\n")
    file = tmp_path / "g.toml"
    file.write_text('app = "a:b"\nenv_file = ".env"\n')
    assert load(cli={}, environ={}, file=file).process.pidfile == "/run/x.pid"
    assert places(environ={}, file=file) == ("/run/x.pid", None)
