"""restart, stop and status: what they send, print and exit with."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from control_fakes import REFUSED, RESTARTED, STATUS, STOPPED, supervisor

from gracehttp.cli.control_client import ControlAddress, ControlClient
from gracehttp.cli.program import program
from gracehttp.wire.control import abstract_name

PROGRESS = {"progress": "worker 0 of generation 2 started"}
ME = str(os.getpid())


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(program, arguments, env=env)


@pytest.fixture(autouse=True)
def _supervisor_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one of these tests lives in their own process."""
    monkeypatch.setattr("gracehttp.cli.control_client.EXIT_TIMEOUT_SECONDS", 0.01)


# --- restart ---


def test_restart_prints_the_new_workers() -> None:
    with supervisor([PROGRESS, RESTARTED]) as fake:
        result = run("restart", "--pid", ME)
    assert (result.exit_code, result.stdout) == (0, "generation 2 serves, worker PIDs: 11 12\n")
    assert result.stderr == "worker 0 of generation 2 started\n"
    assert fake.requests == [{"version": 1, "command": "restart"}]


@pytest.mark.parametrize("command", ["restart", "stop"])
def test_quiet_command_prints_nothing_but_errors(command: str) -> None:
    with supervisor([PROGRESS, RESTARTED]):
        result = run(command, "--pid", ME, "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    with supervisor([PROGRESS, REFUSED]):
        result = run(command, "--pid", ME, "--quiet")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("gracehttp: error: ")


def test_progress_is_one_line_each() -> None:
    with supervisor([{"progress": "worker 0 failed\nTraceback ..."}, RESTARTED]):
        result = run("restart", "--pid", ME)
    assert result.stderr == "worker 0 failed\n"


def test_failed_restart_prints_the_traceback_of_the_application() -> None:
    with supervisor([REFUSED]):
        result = run("restart", "--pid", ME)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "gracehttp: error: generation 2 was given up: worker 0 failed\n" in result.stderr
    assert "ZeroDivisionError: division by zero" in result.stderr


@pytest.mark.parametrize("answers", [[], [PROGRESS], [b'{"done": tr']])
def test_end_of_the_supervisor_during_a_restart_is_a_failure(answers: list[Any]) -> None:
    with supervisor(answers):
        result = run("restart", "--pid", ME)
    assert result.exit_code == 1
    assert "the supervisor ended while restarting" in result.stderr


@pytest.mark.parametrize(("command", "doing"), [("restart", "restarting"), ("stop", "stopping")])
def test_timeout_ends_the_wait_with_a_status_of_its_own_and_says_where_to_look(command: str, doing: str) -> None:
    with supervisor([PROGRESS], hold_open=True):
        result = run(command, "--pid", ME, "--timeout", "20ms")
    assert result.exit_code == 4
    assert f"the supervisor (pid {ME}) is still {doing}" in result.stderr
    assert f"gracehttp status --pid {ME} tells how it ends" in result.stderr


def test_status_that_does_not_come_in_time_is_a_failure() -> None:
    with supervisor([], hold_open=True):
        result = run("status", "--pid", ME, "--timeout", "20ms")
    assert result.exit_code == 1
    assert "does not answer" in result.stderr


def test_answer_of_another_program_is_told() -> None:
    with supervisor([b"220 mail.example ESMTP\n"]):
        result = run("restart", "--pid", ME)
    assert result.exit_code == 1
    assert "can't be understood" in result.stderr


# --- which supervisor ---


def test_supervisor_is_found_by_its_pidfile(tmp_path: Path) -> None:
    pidfile = tmp_path / "app.pid"
    pidfile.write_text(f"{ME}\n")
    with supervisor([RESTARTED]):
        assert run("restart", "--pidfile", str(pidfile)).exit_code == 0


def test_supervisor_is_found_by_the_path_of_its_control_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "c.sock")
    with supervisor([RESTARTED], address=path):
        assert run("restart", "--control", path).exit_code == 0


def test_supervisor_is_found_by_the_environment(tmp_path: Path) -> None:
    path = str(tmp_path / "c.sock")
    with supervisor([RESTARTED], address=path):
        assert run("restart", env={"GRACEHTTP_CONTROL": path}).exit_code == 0


@pytest.mark.parametrize("named_by", ["option", "environment"])
def test_supervisor_is_found_by_the_file_of_options_that_it_was_started_with(tmp_path: Path, named_by: str) -> None:
    file = tmp_path / "app.toml"
    file.write_text('app = "main:app"\ncontrol = "c.sock"\n')
    arguments, env = (("-c", str(file)), {}) if named_by == "option" else ((), {"GRACEHTTP_CONFIG": str(file)})
    for command, answer in (("restart", RESTARTED), ("stop", STOPPED)):
        with supervisor([answer], address=str(tmp_path / "c.sock")) as fake:
            assert run(command, *arguments, env=env).exit_code == 0
        assert [one["command"] for one in fake.requests] == [command]
        (tmp_path / "c.sock").unlink()


def test_file_of_options_that_says_nothing_of_the_supervisor_is_a_mistake_of_usage(tmp_path: Path) -> None:
    file = tmp_path / "app.toml"
    file.write_text('app = "main:app"\n')
    result = run("restart", "-c", str(file))
    assert result.exit_code == 2
    assert f"{file} names neither a pidfile nor a control socket" in result.stderr


def test_no_supervisor_named_is_a_mistake_of_usage() -> None:
    result = run("restart")
    assert result.exit_code == 2
    assert "which supervisor is meant?" in result.stderr


def test_no_supervisor_named_shows_those_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gracehttp.cli.target.supervisors", lambda: [(12, "main:app"), (34, "shop")])
    assert run("status").stderr.endswith(". Here run: --pid 12 is main:app; --pid 34 is shop\n")


def test_control_socket_of_another_process_is_not_trusted() -> None:
    other = os.getppid()
    with supervisor([RESTARTED], address=abstract_name(other)) as fake:
        result = run("restart", "--pid", str(other))
    assert result.exit_code == 1
    assert f"is held by another process, pid {ME}" in result.stderr
    assert fake.requests == []


def test_missing_control_socket_is_told_with_a_hint(tmp_path: Path) -> None:
    result = run("status", "--control", str(tmp_path / "none.sock"))
    assert result.exit_code == 1
    assert "no supervisor listens at" in result.stderr
    assert "Hint: is it running" in result.stderr


# --- stop ---


def test_stop_waits_for_the_last_answer() -> None:
    with supervisor([PROGRESS, STOPPED]) as fake:
        result = run("stop", "--pid", ME)
    assert (result.exit_code, result.stdout) == (0, "stopped\n")
    assert fake.requests == [{"version": 1, "command": "stop"}]


def test_forced_stop_is_asked_for() -> None:
    with supervisor([STOPPED]) as fake:
        assert run("stop", "--pid", ME, "--force").exit_code == 0
    assert fake.requests == [{"version": 1, "command": "stop", "force": True}]


def test_end_of_file_after_the_stop_was_accepted_is_success() -> None:
    with supervisor([PROGRESS]):
        assert run("stop", "--pid", ME).exit_code == 0


def test_end_of_file_without_an_answer_is_success_when_the_process_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControlClient, "wait_for_exit", lambda self: True)
    with supervisor([]):
        assert run("stop", "--pid", ME).exit_code == 0


def test_end_of_file_without_an_answer_is_a_failure_when_the_process_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gracehttp.cli.control_client.EXIT_TIMEOUT_SECONDS", 0.01)
    with supervisor([]):
        result = run("stop", "--pid", ME)
    assert result.exit_code == 1
    assert f"the supervisor (pid {ME}) closed the connection and runs on" in result.stderr


def test_refused_stop_is_a_failure() -> None:
    with supervisor([{**STOPPED, "ok": False, "message": "user 7 may not control this service"}]):
        result = run("stop", "--pid", ME)
    assert result.exit_code == 1
    assert "user 7 may not control this service" in result.stderr


def test_stop_ends_when_the_process_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []
    monkeypatch.setattr(ControlClient, "wait_for_exit", lambda self: waited.append(self.peer_pid) or True)
    with supervisor([STOPPED]):
        assert run("stop", "--pid", ME).exit_code == 0
    assert waited == [os.getpid()]


def test_stop_of_process_1_ends_before_that_process_takes_it_along(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[bool] = []
    monkeypatch.setattr(ControlClient, "wait_for_exit", lambda self: waited.append(True) or True)
    connect = ControlClient.__init__

    def as_process_1(self: ControlClient, address: ControlAddress) -> None:
        connect(self, address)
        self.peer_pid = 1

    monkeypatch.setattr(ControlClient, "__init__", as_process_1)
    with supervisor([STOPPED]):
        result = run("stop", "--pid", ME)
    assert (result.exit_code, result.stdout, waited) == (0, "stopped\n", [])


# --- status ---


def test_status_shows_listeners_generations_and_the_last_restart() -> None:
    with supervisor([{"done": True, "ok": True, "status": STATUS}]):
        result = run("status", "--pid", ME)
    assert result.exit_code == 0
    ended_at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(STATUS["last_restart"]["ended_at"]))
    assert result.stdout.splitlines() == [
        "gracehttp 0.1.0, compiled, pid 4711, up 1h1m11s",
        "",
        "LISTENER     BOUND         OPEN  LIMIT",
        ":8000        0.0.0.0:8000  3     100",
        "unix:/run/a  unix:/run/a   -     5",
        "",
        "GENERATION  STATE     WORKER  PID   WORKER STATE  OPEN  BUILD",
        "7           serving   0       4712  serving       3     compiled",
        "8           starting  1       -     starting",
        "",
        f"last restart: failed, generation 6 was given up ({ended_at}, requested by SIGHUP)",
    ]


def test_status_shows_which_listeners_have_tls_and_when_certificates_expire() -> None:
    plain, *others = STATUS["listeners"]
    certificates = [
        {"path": "/a.pem", "names": ["a.org", "b.org", "c.org", "d.org"], "not_after": 1797776000.0, "days_left": 89},
        {"path": "/b.pem", "names": ["b.net"], "not_after": 1789000000.0, "days_left": 1},
        {"path": "/c.pem", "names": [], "not_after": 1788000000.0, "days_left": -1},
    ]
    status = {**STATUS, "listeners": [{**plain, "tls": True}, *others], "certificates": certificates}
    with supervisor([{"done": True, "ok": True, "status": status}]):
        result = run("status", "--pid", ME)
    assert result.stdout.splitlines()[2:11] == [
        "LISTENER     BOUND                 OPEN  LIMIT",
        ":8000        https://0.0.0.0:8000  3     100",
        "unix:/run/a  unix:/run/a           -     5",
        "",
        "CERTIFICATE  NAMES                           EXPIRES",
        "/a.pem       a.org, b.org, c.org and 1 more  2026-12-20, in 89 days",
        "/b.pem       b.net                           2026-09-10, in 1 day",
        "/c.pem                                       2026-08-29, is over",
        "",
    ]


def test_status_shows_the_template_of_a_generation() -> None:
    first, *others = STATUS["generations"]
    status = {**STATUS, "generations": [{**first, "template": 4710}, *({**one, "template": None} for one in others)]}
    with supervisor([{"done": True, "ok": True, "status": status}]):
        result = run("status", "--pid", ME)
    assert result.stdout.splitlines()[6:10] == [
        "GENERATION  STATE     WORKER    PID   WORKER STATE  OPEN  BUILD",
        "7           serving   template  4710  waiting",
        "7           serving   0         4712  serving       3     compiled",
        "8           starting  1         -     starting",
    ]


@pytest.mark.parametrize(
    ("workers", "starts", "rows"),
    [
        ([], [12.34], ["7           serving  -       -    none runs, the next one starts in 12.3 s"]),
        ([], [], ["7           serving  -       -    none runs"]),
        (
            [{"worker": 3, "pid": 12, "state": "serving"}],
            [1.0],
            ["7           serving  3       12   serving", "7           serving  -       -    starts in 1.0 s"],
        ),
    ],
)
def test_status_shows_that_no_worker_runs_and_when_the_next_one_starts(
    workers: list[dict[str, Any]], starts: list[float], rows: list[str]
) -> None:
    crashing = {"generation": 7, "state": "serving", "workers": workers, "starts_in_seconds": starts}
    with supervisor([{"done": True, "ok": True, "status": {**STATUS, "generations": [crashing]}}]):
        result = run("status", "--pid", ME)
    assert result.stdout.splitlines()[7:-2] == rows


def test_status_shows_who_is_on_probation_and_who_stands_by() -> None:
    status = {
        **STATUS,
        "generations": [
            {"generation": 7, "state": "standing_by", "workers": [{"worker": 1, "pid": 12, "state": "standing_by"}]},
            {
                "generation": 8,
                "state": "serving",
                "probation_seconds_left": 7.42,
                "workers": [{"worker": 2, "pid": 13, "state": "serving"}],
            },
        ],
    }
    with supervisor([{"done": True, "ok": True, "status": status}]):
        result = run("status", "--pid", ME)
    assert result.stdout.splitlines()[6:9] == [
        "GENERATION  STATE                               WORKER  PID  WORKER STATE",
        "7           standing by                         1       12   standing by",
        "8           serving, on probation for 7 s more  2       13   serving",
    ]


def test_status_as_json_is_what_the_supervisor_told() -> None:
    with supervisor([{"done": True, "ok": True, "status": STATUS}]):
        result = run("status", "--pid", ME, "--json")
    assert json.loads(result.stdout) == STATUS


def test_status_is_a_failure_if_no_worker_serves() -> None:
    nothing = {**STATUS, "generations": STATUS["generations"][1:]}
    for arguments in ((), ("--json",)):
        with supervisor([{"done": True, "ok": True, "status": nothing}]):
            result = run("status", "--pid", ME, *arguments)
        assert result.exit_code == 1
        assert "no worker serves" in result.stderr
        assert "4711" in result.stdout


def test_status_that_is_not_told_is_a_failure() -> None:
    with supervisor([{"done": True, "ok": True}]):
        result = run("status", "--pid", ME)
    assert (result.exit_code, result.stdout) == (1, "")


# --- interruption ---


@pytest.mark.parametrize("command", ["restart", "stop"])
def test_interrupted_wait_tells_that_what_was_ordered_goes_on(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ControlClient, "ask", interrupted)
    with supervisor([]):
        result = run(command, "--pid", ME)
    assert result.exit_code == 130
    assert f"the {command} goes on; gracehttp status --pid {ME} tells how it ends" in result.stderr


@pytest.mark.parametrize("command", ["restart", "stop", "status"])
def test_file_that_can_not_be_read_changes_nothing_that_runs(command: str, tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text("app = = 1")
    result = run(command, "-c", str(tmp_path / "two.toml"))
    assert result.exit_code == 2
    assert "no supervisor was asked for anything: what runs, runs on" in result.stderr


def test_interrupted_question_ends_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ControlClient, "ask", interrupted)
    with supervisor([]):
        result = run("status", "--pid", ME)
    assert (result.exit_code, result.output) == (130, "")


def test_two_sentences_of_a_hint_are_joined_as_sentences(tmp_path: Path) -> None:
    (tmp_path / "g.toml").write_text("pidfil = 'x'")
    result = run("restart", "-c", str(tmp_path / "g.toml"))
    assert "Hint: did you mean pidfile? No supervisor was asked for anything: what runs, runs on\n" in result.stderr


@pytest.mark.parametrize("pid", ["0", "-1"])
@pytest.mark.parametrize("command", ["restart", "stop", "status"])
def test_what_is_no_pid_of_one_process_gets_no_hint_to_send_signals_there(command: str, pid: str) -> None:
    result = run(command, "--pid", pid)
    assert result.exit_code == 2
    assert "kill" not in result.stderr
    assert f"--pid: '{pid}' is not a PID, a whole number from 1 on." in result.stderr


def test_a_word_is_no_pid() -> None:
    assert "--pid: 'x' is not a PID, a whole number from 1 on." in run("status", "--pid", "x").stderr


@pytest.mark.parametrize("command", ["stop", "status"])
def test_a_mistake_elsewhere_in_the_file_keeps_nobody_from_a_look_or_a_stop(command: str, tmp_path: Path) -> None:
    (tmp_path / "app.pid").write_text(ME)
    (tmp_path / "g.toml").write_text('pidfile = "app.pid"\nwrokers = 2\nthreads = "many"\n[serve]\n')
    answer = STOPPED if command == "stop" else {"done": True, "ok": True, "status": STATUS}
    with supervisor([answer]) as fake:
        result = run(command, "-c", str(tmp_path / "g.toml"))
    assert result.exit_code == 0, result.stderr
    assert fake.requests == [{"version": 1, "command": command}]


def test_a_restart_tells_a_mistake_in_the_file_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "g.toml").write_text('pidfile = "app.pid"\nwrokers = 2\n')
    result = run("restart", "-c", str(tmp_path / "g.toml"))
    assert result.exit_code == 2
    assert "'wrokers' is no option" in result.stderr


@pytest.mark.parametrize("command", ["stop", "status"])
def test_a_file_without_the_place_of_the_service_names_what_was_meant(command: str, tmp_path: Path) -> None:
    (tmp_path / "g.toml").write_text("pidfil = 'x'")
    result = run(command, "-c", str(tmp_path / "g.toml"))
    assert result.exit_code == 2
    assert "did you mean pidfile?" in result.stderr
