"""The names by which a service was started, and what a generation finds by them."""

from __future__ import annotations

import json
import os

import pytest

from gracehttp.config.release_links import LINKS_VARIABLE, as_released, claim_links
from gracehttp.supervisor.processes.command_line import CommandLine, Launch, to_be_repeated
from gracehttp.supervisor.processes.launches import Launches
from gracehttp.supervisor.processes.shebang import foreign_environment, is_run_by_its_first_line
from gracehttp.supervisor.processes.symbolic_links import links_on, name_through, unnamed_link


@pytest.fixture
def srv(tmp_path):
    """Two releases with a program and an interpreter each, and the link `current` to the first one."""
    for number in ("1", "2"):
        folder = tmp_path / "releases" / number / "bin"
        folder.mkdir(parents=True)
        (folder / "python").symlink_to("/bin/sh")
        (folder / "program").write_text(f"#!{folder}/python\n")
        (folder / "program").chmod(0o755)
    (tmp_path / "current").symlink_to("releases/1")
    return tmp_path


def turn(srv, number):
    (srv / "current").unlink()
    (srv / "current").symlink_to(f"releases/{number}")


def repeated(srv, *arguments, directory, argv, **environ):
    return to_be_repeated(CommandLine(tuple(map(str, arguments)), str(directory)), tuple(map(str, argv)), environ)


def test_program_that_was_executed_itself_is_executed_again(srv):
    program = srv / "current/bin/program"
    python = srv / "releases/1/bin/python"
    line = repeated(srv, python, program, "serve", directory="/", argv=(program, "serve"))
    assert line.arguments == (str(program), "serve")
    turn(srv, 2)
    launch = line.launch()
    assert launch.executable == launch.arguments[0] == str(srv / "releases/2/bin/program")


def test_interpreter_that_was_typed_before_a_program_is_kept(srv):
    program, python = srv / "current/bin/program", "/usr/bin/env"
    line = repeated(srv, python, program, directory="/", argv=(program,))
    assert (line.arguments, line.script) == ((python, str(program)), 1)


def test_what_is_in_the_folder_of_the_link_is_named_by_the_link_too(srv):
    python = srv / "releases/1/bin/python"
    here = str(srv / "current")
    line = repeated(srv, python, "-m", "gracehttp", directory=here, argv=("/x/__main__.py",), PWD=here)
    assert line.arguments[0] == str(srv / "current/bin/python")
    elsewhere = repeated(srv, "/usr/bin/env", "-m", "gracehttp", directory=here, argv=("/x/__main__.py",), PWD=here)
    assert elsewhere.arguments[0] == "/usr/bin/env"


def test_working_directory_is_named_by_the_link_if_the_shell_told_no_name(srv):
    first, program = str(srv / "releases/1"), srv / "current/bin/program"
    python = srv / "releases/1/bin/python"
    told = repeated(srv, python, program, directory=first, argv=(program,), PWD=first)
    assert told.directory == first
    not_told = repeated(srv, python, program, directory=first, argv=(program,))
    assert not_told.directory == str(srv / "current")
    assert dict(not_told.by_name().variables)["PWD"] == str(srv / "current")
    assert not_told.unnamed_link == ""


def test_link_that_leads_to_the_working_directory_and_has_no_name_is_found(srv):
    first = srv / "releases/1"
    line = repeated(srv, "/usr/bin/env", "-m", "gracehttp", directory=first, argv=("/x/__main__.py",))
    assert line.unnamed_link == str(srv / "current")
    assert unnamed_link(str(first / "bin")) == str(srv / "current")
    assert unnamed_link(str(srv / "releases/2")) != str(srv / "current")
    assert unnamed_link("") == ""


def test_links_of_options_are_known(srv):
    for argument in (f"--config={srv}/current/x.toml", f"{srv}/current/x.toml"):
        line = repeated(srv, "/usr/bin/env", "-m", "x", argument, directory="/", argv=("/x/__main__.py", argument))
        assert line.links[str(srv / "current")] == str(srv / "releases/1")
    relative = repeated(srv, "/usr/bin/env", "-m", "x", "current/x.toml", directory=srv, argv=("/x/__main__.py",))
    assert str(srv / "current") in relative.links


def test_generation_keeps_what_it_has_found(srv):
    told = []
    here = str(srv / "current")
    line = repeated(srv, "/usr/bin/env", "x.py", directory=here, argv=("x.py",), PWD=here)
    launches = Launches(line, told.append)
    launches.of(1, 1)
    turn(srv, 2)
    assert launches.of(1, 2).directory == str(srv / "releases/1")
    assert launches.of(2, 3).directory == str(srv / "releases/2")
    assert json.loads(dict(launches.of(2, 3).variables)[LINKS_VARIABLE]) == {here: str(srv / "releases/2")}
    launches.forget(1)
    assert launches.of(1, 4).directory == str(srv / "releases/2")
    assert told == []
    assert Launches(line, told.append, launches.carry()).of(2, 5) == launches.of(2, 5)


def test_moved_link_is_told_once(srv):
    told = []
    here = str(srv / "current")
    launches = Launches(repeated(srv, "/usr/bin/env", "x.py", directory=here, argv=("x.py",), PWD=here), told.append)
    launches.tell_moved_links()
    turn(srv, 2)
    launches.tell_moved_links()
    launches.tell_moved_links()
    assert [str(one) for one in told] == [f"the link {here} leads to {srv}/releases/2 now, no more to {srv}/releases/1"]


def test_launch_without_links_is_as_it_was_typed(tmp_path):
    line = CommandLine(("python", "-m", "gracehttp", "x.y/z"), "relative")
    launch = line.launch()
    assert (launch.arguments, launch.directory, launch.variables) == (line.arguments, "relative", ())


def test_missing_names_what_is_gone(srv):
    program = str(srv / "releases/1/bin/program")
    assert Launch(program, (program, "serve"), str(srv)).missing() == ""
    assert Launch(program, (program, "/none.py"), str(srv)).missing() == "/none.py"
    assert Launch(program, (program,), str(srv / "none")).missing() == str(srv / "none")
    assert Launch(f"{srv}/none", (f"{srv}/none",), str(srv)).missing() == f"{srv}/none"


# --- the first line ---


@pytest.mark.parametrize(
    ("first_lines", "interpreter", "expected"),
    [
        ("#!/v/bin/python\n", ["/v/bin/python"], True),
        ("#!/v/bin/python\n", ["/w/bin/python"], False),
        ("#! /v/bin/python -I\n", ["/v/bin/python", "-I"], True),
        ("#!/v/bin/python -I\n", ["/v/bin/python"], False),
        ("#!/usr/bin/env python3\n", ["python3"], True),
        ("#!/usr/bin/env -S python3 -u\n", ["python3", "-u"], True),
        ("#!/usr/bin/env python3\n", ["/usr/bin/python3"], False),
        ("#!/usr/bin/env\n", ["python3"], False),
        ("#!/bin/sh\n'''exec' \"/v w/bin/python\" \"$0\" \"$@\"\n' '''\n", ["/v w/bin/python"], True),
        ("#!/bin/sh\n'''exec' \"/v w/bin/python\" \"$0\" \"$@\"\n' '''\n", ["/x/bin/python"], False),
        ("#!/bin/sh\necho /v/bin/python\n", ["/v/bin/python"], False),
        ("import gracehttp\n", ["python"], False),
        ("#!\n", ["python"], False),
    ],
)
def test_first_line_tells_whether_the_program_was_executed_itself(tmp_path, first_lines, interpreter, expected):
    program = tmp_path / "program"
    program.write_text(first_lines)
    program.chmod(0o755)
    assert is_run_by_its_first_line(str(program), "/", interpreter) is expected
    program.chmod(0o644)
    assert not is_run_by_its_first_line(str(program), "/", interpreter)


def test_shell_that_executes_a_neighbour_of_the_program(tmp_path):
    program = tmp_path / "program"
    program.write_text(
        "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''\n"
    )
    program.chmod(0o755)
    assert is_run_by_its_first_line(str(program), "/", [f"{tmp_path}/python"])
    assert not is_run_by_its_first_line(str(program), "/", ["/elsewhere/python"])


def test_program_in_another_environment_than_the_one_that_runs_it(srv):
    program, python = str(srv / "releases/1/bin/program"), str(srv / "releases/1/bin/python")
    arguments, argv = (python, program, "serve"), (program, "serve")
    assert foreign_environment(arguments, argv, "/other") == ""  # no environment at all
    (srv / "releases/1/pyvenv.cfg").touch()
    assert foreign_environment(arguments, argv, "/other") == str(srv / "releases/1")
    assert foreign_environment(arguments, argv, str(srv / "current")) == ""
    assert foreign_environment(("/bin/sh", program, "serve"), argv, "/other") == ""  # that interpreter was typed
    assert foreign_environment((python, "-m", "x"), ("/x/__main__.py",), "/other") == ""


# --- names ---


def test_links_on_the_way_to_a_path(srv):
    assert links_on(f"{srv}/current/bin/none/x", "/") == {f"{srv}/current": f"{srv}/releases/1"}
    assert links_on(f"{srv}/releases/1/bin/python", "/") == {}  # a link to a file is none to a folder
    assert links_on("x", "relative") == {}


def test_the_link_with_the_longest_target_names_a_path():
    links = {"/a": "/srv", "/b": "/srv/releases/1", "/c": "/"}
    assert name_through("/srv/releases/1/x", links) == "/b/x"
    assert name_through("/srv/releases/10", links) == "/a/releases/10"
    assert name_through("/b/x", links) == "/b/x"
    assert name_through("/etc", links) == "/etc"
    assert name_through("relative", links) == "relative"


def test_path_as_it_led_when_the_generation_began():
    links = {"/srv/current": "/srv/releases/1", "/srv/current/app": "/opt/app"}
    assert as_released("/srv/current/x.toml", links) == "/srv/releases/1/x.toml"
    assert as_released("/srv/current/app/x", links) == "/opt/app/x"
    assert as_released("/srv/current2", links) == "/srv/current2"
    assert as_released("/srv/current2", {}) == "/srv/current2"


@pytest.mark.parametrize(("text", "links"), [('{"/a": "/b"}', {"/a": "/b"}), ("{", {}), ("[]", {}), (None, {})])
def test_links_are_claimed_once(text, links):
    environ = {} if text is None else {LINKS_VARIABLE: text}
    assert claim_links(environ) == links
    assert environ == {}
    assert LINKS_VARIABLE not in os.environ
