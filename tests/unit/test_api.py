"""Where the functions of the programming interface may be called, and what they take."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading

import pytest
from deadlines import DEADLINE_SECONDS

import gracehttp
from gracehttp.config import load
from gracehttp.config.checks import check_app_dir
from gracehttp.demo.app import application
from gracehttp.errors import CalledInWrongPlace, ConfigurationError
from gracehttp.events import VariableIgnored


def run_program() -> None:
    program = gracehttp.GraceHTTP()
    program.add_server(application, bind="127.0.0.1:0")
    program.run()


def run_application() -> None:
    gracehttp.run(application, bind="127.0.0.1:0")


@pytest.mark.parametrize("call", [run_program, run_application])
def test_run_in_a_loop_that_runs_is_told_what_to_use_instead(call) -> None:
    async def main() -> None:
        call()

    with pytest.raises(CalledInWrongPlace, match="in an event loop that runs already") as caught:
        asyncio.run(main())
    assert "gracehttp.serving" in caught.value.hint


def test_run_beside_the_main_thread_is_told_what_to_use_instead() -> None:
    raised: list[BaseException] = []

    def call() -> None:
        try:
            run_program()
        except BaseException as exc:
            raised.append(exc)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    (error,) = raised
    assert isinstance(error, CalledInWrongPlace)
    assert "beside the main thread" in error.message
    assert "gracehttp.serving" in error.hint


def test_serving_takes_no_options_of_a_supervisor() -> None:
    async def main() -> None:
        async with gracehttp.serving(application, workers=3):
            pass

    with pytest.raises(ConfigurationError, match=r"workers has no effect in serving\(\) and running\(\)"):
        asyncio.run(main())


def test_mistyped_variable_is_one_sentence() -> None:
    told = str(VariableIgnored("GRACEHTTP_WORKRES", "GRACEHTTP_WORKERS"))
    assert told == "GRACEHTTP_WORKRES is set, and is no option; GRACEHTTP_WORKERS is one"


def test_hint_for_a_script_names_the_keyword(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setattr(gracehttp.GraceHTTP, "_supervise", lambda self, bus: 0)
    program = gracehttp.GraceHTTP(app_dir=str(tmp_path / "nowhere"))
    program.add_server("main:app")
    with pytest.raises(SystemExit):
        program.run()
    assert "Hint: see app_dir=" in capsys.readouterr().err


def test_mistyped_variable_is_a_line_at_the_start_of_a_service(monkeypatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(gracehttp.GraceHTTP, "_supervise", lambda self, bus: 0)
    monkeypatch.setattr(gracehttp.GraceHTTP, "_configure_logging", lambda self, tty: None)
    monkeypatch.setattr("gracehttp.api.log_event", told.append)
    environ = {"GRACEHTTP_APP": "main:app", "GRACEHTTP_WORKRES": "2"}
    gracehttp.GraceHTTP.from_configuration(load(cli={}, environ=environ, file=None)).run()
    assert told == [VariableIgnored("GRACEHTTP_WORKRES", "GRACEHTTP_WORKERS")]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gracehttp.GraceHTTP(wrokers=2), "'wrokers' is no option"),
        (lambda: gracehttp.GraceHTTP().add_server(application, bind=8000), "bind must be an address"),
    ],
)
def test_a_mistake_in_a_line_of_a_script_is_an_exception(call, message) -> None:
    with pytest.raises(gracehttp.ConfigurationError, match=message):
        call()


def test_run_ends_the_process_with_one_sentence(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        gracehttp.run(application, wrokers=2)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("gracehttp: error: 'wrokers' is no option")


def serve_in_a_loop(app=application, **options):
    async def main() -> None:
        async with gracehttp.serving(app, **options):
            pass

    asyncio.run(main())


@pytest.mark.parametrize("call", [serve_in_a_loop, lambda **options: gracehttp.run(application, **options)])
def test_a_mistyped_option_names_the_nearest_of_all(call, capsys) -> None:
    with pytest.raises((gracehttp.ConfigurationError, SystemExit)) as caught:
        call(workres=3)
    told = f"{caught.value}{capsys.readouterr().err}"
    assert "'workres' is no option" in told
    assert "Hint: did you mean workers?" in told


def test_hint_of_serving_names_the_keyword() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(gracehttp.StartError) as caught:
        serve_in_a_loop(bind=f"127.0.0.1:{taken.getsockname()[1]}")
    assert caught.value.hint == "leave one of the two out, or choose another address with bind="


def test_hint_of_add_server_is_for_a_script() -> None:
    with pytest.raises(gracehttp.ConfigurationError) as caught:
        gracehttp.GraceHTTP().add_server(None)
    assert caught.value.hint == 'give the application itself, or its name such as "main:app"'


@pytest.mark.parametrize("arguments", [(), ("-", "argument")])
def test_a_script_from_standard_input_is_told_that_it_can_not_be_run_again(arguments) -> None:
    script = "import gracehttp; gracehttp.run('gracehttp.demo.app:application', bind='127.0.0.1:0')"
    ended = subprocess.run(
        [sys.executable, *arguments],
        input=script,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert ended.returncode == 2
    assert "this script comes from standard input, so it can't be run a second time" in ended.stderr
    assert "Hint: write it to a file" in ended.stderr


@pytest.mark.parametrize(("name", "wrong"), [("main.py", "is no directory"), ("none", "does not exist")])
def test_what_is_wrong_with_an_application_directory_is_told(tmp_path, name, wrong) -> None:
    (tmp_path / "main.py").write_text("")
    with pytest.raises(gracehttp.ConfigurationError, match=wrong):
        check_app_dir(str(tmp_path / name))


def test_start_of_serving_that_fails_leaves_no_socket_file(tmp_path) -> None:
    with pytest.raises(gracehttp.GraceHTTPError):
        serve_in_a_loop("no_such_module:app", bind=f"unix:{tmp_path}/a.sock")
    assert list(tmp_path.iterdir()) == []


def test_address_of_another_server_is_refused_where_it_is_added() -> None:
    program = gracehttp.GraceHTTP()
    program.add_server(application, bind=[":1", ":2"])
    with pytest.raises(gracehttp.ConfigurationError, match="two servers have the same address, :2") as caught:
        program.add_server(application, bind=["127.0.0.1:1", ":2"])
    assert caught.value.hint == "give each server a bind of its own"
    assert len(program._servers) == 2
