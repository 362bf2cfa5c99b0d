"""serve and check: what they hand on, print and exit with."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
import trustme
from click.testing import CliRunner, Result
from deadlines import DEADLINE_SECONDS

from gracehttp.cli import main
from gracehttp.cli.checking.imports import try_import
from gracehttp.cli.program import program
from gracehttp.compiled import BUILD
from gracehttp.config import OPTIONS, Configuration
from gracehttp.errors import ApplicationFailed, ApplicationNotFound, ListenError
from gracehttp.release import RELEASE

DEMO = "gracehttp.demo.app:application"


class FakeServer:
    """Stands for GraceHTTP: keeps the configuration, and fails on request."""

    configurations: list[Configuration]
    failure: Exception | None = None

    @classmethod
    def from_configuration(cls, configuration: Configuration) -> FakeServer:
        cls.configurations.append(configuration)
        return cls()

    def run(self) -> None:
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> type[FakeServer]:
    class Fresh(FakeServer):
        configurations: list[Configuration] = []  # noqa: RUF012  one list per test

    monkeypatch.setattr("gracehttp.api.GraceHTTP", Fresh)
    return Fresh


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(program, arguments, env=env, prog_name="gracehttp")


# --- help ---


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_every_command(flag: str) -> None:
    result = run(flag)
    assert result.exit_code == 0
    assert all(name in result.stdout for name in ("serve", "check", "restart", "stop", "status", "demo"))


@pytest.mark.parametrize("command", ["serve", "check"])
def test_help_of_a_command_shows_every_option_with_default_and_variable(command: str) -> None:
    words = " ".join(run(command, "--help").stdout.split())
    for option in OPTIONS.values():
        assert option.flag in words
        assert option.variable in words
        if option.name != "app":
            variables = " or ".join(filter(None, (option.variable, option.common_variable)))
            shown = f"[default: {option.show_default()}; env: {variables}]"
            assert shown.replace(" ", "") in words.replace(" ", "")  # a long one is wrapped at any place


@pytest.mark.parametrize("command", ["serve", "check", "restart", "stop", "status", "migrate", "completion", "demo"])
def test_every_command_has_short_help(command: str) -> None:
    result = run(command, "-h")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("server", "main:app"), "did you mean serve?"),
        (("main:app",), "gracehttp serve main:app serves an application"),
        (("main.py",), "gracehttp serve main:app serves an application"),
        (("run", "main:app"), "gracehttp serve main:app serves an application"),
        (("dev",), "gracehttp serve main:app --reload restarts at each change"),
        (("ps",), "gracehttp status shows what runs"),
        (
            ("reload",),
            "gracehttp restart brings new code into use; while you develop, gracehttp serve main:app --reload does",
        ),
        (("help",), "gracehttp --help"),
        (("help", "serve"), "gracehttp serve --help"),
        (("xyz",), "there are: serve, check, restart, stop, status, top, migrate, example, completion, demo"),
    ],
)
def test_command_that_does_not_exist_names_one_that_does(arguments: tuple[str, ...], hint: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr == f"gracehttp: error: no such command {arguments[0]!r}.\nHint: {hint}\n"


def test_an_option_before_its_command_is_told_where_it_stands() -> None:
    result = run("--reload", "serve", "main:app")
    assert result.exit_code == 2
    assert result.stderr == (
        "gracehttp: error: no such option: --reload.\n"
        "Hint: it is an option of serve, and stands behind that: gracehttp serve main:app --reload\n"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence", "hint"),
    [
        (("serve", "main:app", "--bogus"), "no such option: --bogus.", "gracehttp serve --help lists the options"),
        (("serve", "main:app", "--wrokers", "2"), "no such option: --wrokers.", "did you mean --workers?"),
        (("serve", "main:app", "extra"), "got unexpected extra argument (extra).", "gracehttp serve takes one"),
        (("--bogus",), "no such option: --bogus.", "gracehttp --help lists the options"),
        (("demo", "--restart", "3"), "no such option: --restart.", "did you mean --restarts?"),
        (("demo", "--connections", "3"), "--connections is for the load of --restarts.", "give --restarts N, too"),
        (("restart", "--timeout", "q"), "--timeout: 'q' is not a duration such as 500ms", "gracehttp restart --help"),
        (("completion",), "missing argument 'SHELL'. Choose from: bash, zsh, fish.", "gracehttp completion --help"),
        (("serve", "main:app", "--workers"), "option '--workers' requires an argument.", "gracehttp serve --help"),
    ],
)
def test_mistake_in_the_command_is_told_as_all_errors_are(arguments: tuple[str, ...], sentence: str, hint: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    told, hinted = result.stderr.splitlines()
    assert told.startswith(f"gracehttp: error: {sentence}")
    assert hinted.startswith(f"Hint: {hint}")


@pytest.mark.parametrize(
    ("option", "sentence", "hint"),
    [
        (("--log-level", "trace"), "log_level must be one of", "--log-level debug"),
        (("--interface", "asginl"), "interface must be one of", "--lifespan off"),
        (("--bind", "127.0.0.1"), "the port is missing", "127.0.0.1:8000"),
        (("--bind", "8000x"), "a port is a number", "127.0.0.1:8000"),
        (("--bind", "[::1]"), "the port is missing", "[::1]:8000"),
        (("--bind", "https://localhost:abc"), "its port, abc, is no number", "localhost:8000"),
    ],
)
def test_value_that_another_server_takes_is_told_with_ours(option: tuple[str, str], sentence: str, hint: str) -> None:
    result = run("check", "main:app", *option)
    assert result.exit_code == 2
    told, hinted = result.stderr.splitlines()
    assert sentence in told
    assert hint in hinted


def test_check_that_can_not_print_says_so() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "gracehttp", "check", DEMO]
        ended = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=DEADLINE_SECONDS, check=False
        )
    assert ended.returncode == 1
    assert ended.stderr == "gracehttp: error: standard output can't be written: No space left on device.\n"


def test_version_is_told() -> None:
    assert run("--version").stdout == f"gracehttp {RELEASE}, {BUILD}\n"


def test_main_exits_with_the_status_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["serve", "--workers", "0", "main:app"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("gracehttp: error: workers must be a whole number")


def test_module_is_the_command() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "gracehttp", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"gracehttp {RELEASE}, {BUILD}\n"


# --- serve ---


def test_serve_runs_what_command_line_environment_and_file_amount_to(server: type[FakeServer], tmp_path: Path) -> None:
    file = tmp_path / "app.toml"
    file.write_text("threads = 3\nmax_connections = 7")
    arguments = ("serve", "main:app", "-w", "2", "-b", ":1", "-b", "unix:x", "--factory", "-c", str(file))
    result = run(*arguments, env={"GRACEHTTP_DRAIN_TIMEOUT": "1m"})
    assert (result.exit_code, result.output) == (0, "")
    (configuration,) = server.configurations
    assert (configuration.process.workers, configuration.process.threads) == (2, 3)
    assert configuration.process.drain_timeout == 60.0
    assert [str(one.bind.address) for one in configuration.servers] == [":1", "unix:x"]
    assert all(one.factory and one.max_connections == 7 for one in configuration.servers)


def test_file_can_be_named_by_the_environment(server: type[FakeServer], tmp_path: Path) -> None:
    file = tmp_path / "app.toml"
    file.write_text("app = 'main:app'")
    assert run("serve", env={"GRACEHTTP_CONFIG": str(file)}).exit_code == 0
    assert server.configurations[0].servers[0].app == "main:app"


@pytest.mark.parametrize(
    ("flags", "access_log"), [((), True), (("--no-access-log",), False), (("--access-log",), True)]
)
def test_flag_of_the_file_can_be_taken_back(
    server: type[FakeServer], tmp_path: Path, flags: tuple[str, ...], access_log: bool
) -> None:
    file = tmp_path / "app.toml"
    file.write_text("access_log = true")
    assert run("serve", "main:app", "-c", str(file), *flags).exit_code == 0
    assert server.configurations[0].process.access_log is access_log


def test_no_control_is_a_flag_of_its_own(server: type[FakeServer]) -> None:
    assert run("serve", "main:app", "--no-control").exit_code == 0
    assert server.configurations[0].process.no_control


def test_failed_start_is_one_sentence_and_its_status(server: type[FakeServer]) -> None:
    server.failure = ListenError("port 80 is taken.", hint="use another one", details="who: pid 5")
    result = run("serve", "main:app")
    assert result.exit_code == 3
    assert result.stderr == "gracehttp: error: port 80 is taken.\nHint: use another one\nwho: pid 5\n"


def test_mistake_in_an_option_is_told_without_serving(server: type[FakeServer]) -> None:
    result = run("serve", "main:app", "--loop", "gevent")
    assert result.exit_code == 2
    assert "loop must be one of auto, uvloop, asyncio, not 'gevent' (from --loop)" in result.stderr
    assert server.configurations == []


def test_option_that_does_not_exist_is_told_with_the_nearest_one() -> None:
    result = run("serve", "main:app", "--worker", "2", "--max-conections", "3")
    assert result.exit_code == 2
    assert "--max-connections" in result.stderr or "--workers" in result.stderr


@pytest.mark.parametrize("variable", ["GRACEHTTP_WORKER_CHANNEL", "GRACEHTTP_SUPERVISOR_STATE"])
def test_mistyped_variable_is_for_the_process_that_a_person_started(server: type[FakeServer], variable: str) -> None:
    mistyped = {"GRACEHTTP_WORKRES": "2"}
    assert run("serve", "main:app", env=mistyped).exit_code == 0
    assert run("serve", "main:app", env={**mistyped, variable: "5"}).exit_code == 0
    by_hand, by_a_supervisor = server.configurations
    assert by_hand.mistyped == (("GRACEHTTP_WORKRES", "GRACEHTTP_WORKERS"),)
    assert by_a_supervisor.mistyped == ()


# --- check ---


def test_check_shows_each_value_with_its_origin(tmp_path: Path) -> None:
    file = tmp_path / "app.toml"
    file.write_text(f"app = '{DEMO}'\nmax_connections = 7")
    result = run("check", "-c", str(file), "-w", "2", env={"GRACEHTTP_THREADS": "3"})
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["workers", "2", "--workers"] in rows
    assert ["threads", "3", "GRACEHTTP_THREADS"] in rows
    assert ["max_connections", "7", str(file)] in rows
    assert len(rows) == 8, "and no defaults: two headings, four options, a line about the others, the verdict"
    assert result.stdout.splitlines()[-1] == f"ok: application {DEMO} (ASGI)"
    assert result.exit_code == 0
    whole = run("check", "-c", str(file), "-w", "2", "--verbose", env={"GRACEHTTP_THREADS": "3"})
    rows = [line.split() for line in whole.stdout.splitlines()]
    assert ["drain_timeout", "30s", "default"] in rows
    assert ["workers", "2", "--workers"] in rows


def test_check_hides_the_password(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "a.pem"))
    monkeypatch.setattr("gracehttp.cli.check.try_import", lambda target, **rest: "asgi")
    arguments = ("check", DEMO, "--certfile", str(tmp_path / "a.pem"))
    result = run(*arguments, env={"GRACEHTTP_KEYFILE_PASSWORD": "s3cret"})
    assert "s3cret" not in result.output
    assert "(hidden)" in result.stdout
    assert f"ok: certificate {tmp_path / 'a.pem'}" in result.stdout


@pytest.mark.parametrize("installed", [True, False])
def test_check_tries_the_library_that_a_handover_of_tls_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: bool
) -> None:
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "a.pem"))
    monkeypatch.setattr("gracehttp.cli.check.try_import", lambda target, **rest: "asgi")
    monkeypatch.setattr("gracehttp.net.tls13.handover.available", lambda: installed)
    result = run("check", DEMO, "--certfile", str(tmp_path / "a.pem"), "--tls-handover")
    if installed:
        assert "ok: the handover of TLS connections" in result.stdout
    else:
        assert result.exit_code == 3
        assert "pip install 'gracehttp[tls-handover]', or leave --tls-handover out" in result.stderr


def test_check_tells_every_failure_and_exits_as_serve_would(tmp_path: Path) -> None:
    arguments = ("check", "no_such_module:app", "--certfile", str(tmp_path / "none.pem"), "-b", "https://:1")
    result = run(*arguments, "--app-dir", str(tmp_path))
    assert result.exit_code == 2
    assert "none.pem" in result.stderr
    assert "no_such_module" in result.stderr


def test_check_tells_that_wsgi_has_no_lifespan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gracehttp.cli.check.try_import", lambda target, **rest: "wsgi")
    result = run("check", DEMO, "--lifespan", "on")
    assert result.exit_code == 3
    assert "speaks WSGI, which has none" in result.stderr


def test_check_tells_a_mistyped_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gracehttp.cli.check.try_import", lambda target, **rest: "asgi")
    result = run("check", DEMO, env={"GRACEHTTP_WORKER": "2"})
    assert "note: GRACEHTTP_WORKER is set, and is no option; GRACEHTTP_WORKERS is one" in result.stdout


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gracehttp.cli.check.try_import", lambda target, **rest: "asgi")


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--user", "no-such-user"), "there is no user 'no-such-user'"),
        (("--group", "no-such-group"), "there is no group 'no-such-group'"),
        (("--user", "4000000000"), "the user 4000000000 is not known to this system, so its group isn't either"),
    ],
)
def test_check_looks_whether_there_is_such_a_user_and_group(options: tuple[str, str], sentence: str) -> None:
    result = run("check", DEMO, *options)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "ok: user root" in run("check", DEMO, "--user", "root").stdout


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize(
    ("options", "installed", "told"),
    [
        (("--h2c",), False, True),
        (("--h2", "on", "--certfile", "a.pem"), False, True),
        (("--h2", "on", "--certfile", "a.pem"), True, False),
        (("--certfile", "a.pem"), False, False),
    ],
)
def test_check_tells_that_the_library_for_http2_is_missing_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: tuple[str, ...], installed: bool, told: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path("a.pem")
    monkeypatch.setattr("gracehttp.http.http2.library.installed", lambda: installed)
    result = run("check", DEMO, *options)
    assert ("note: HTTP/2 is asked for, and the package ngh2 is not installed" in result.stdout) == told
    assert result.exit_code == 0


@pytest.mark.usefixtures("importable")
def test_check_tries_a_certificate_again_for_a_server_with_other_options_of_tls(tmp_path: Path) -> None:
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "a.pem"))
    addresses = ("-b", "https://127.0.0.1:1", "-b", "https://127.0.0.1:2", "-b", "https://127.0.0.1:3?ssl_ciphers=NO")
    result = run("check", DEMO, "--certfile", str(tmp_path / "a.pem"), *addresses)
    assert result.exit_code == 3
    assert "OpenSSL knows no cipher suites by 'NO'" in result.stderr
    assert result.stdout.count("ok: certificate") == 1, "the first two differ in their address alone"


@pytest.mark.usefixtures("importable")
def test_check_beside_a_running_service_succeeds_and_leaves_its_places_alone(tmp_path: Path) -> None:
    pidfile = tmp_path / "app.pid"
    pidfile.write_text(f"{os.getpid()}\n")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "a.sock"))
        listener.listen()
        listener.set_inheritable(True)
        places = ("-p", str(pidfile), "-b", f"unix:{tmp_path}/a.sock", "-b", f"fd://{listener.fileno()}")
        result = run("check", DEMO, *places, "--control", str(tmp_path / "none" / "c.sock"))
        assert (result.exit_code, result.stderr) == (0, "")
        assert [line for line in result.stdout.splitlines() if line.startswith("ok")] == [
            f"ok: application {DEMO} (ASGI)"
        ]
        listener.getsockname()
    assert pidfile.read_text() == f"{os.getpid()}\n"


def test_same_application_on_several_addresses_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    monkeypatch.setattr("gracehttp.cli.check.try_import", lambda target, **rest: tried.append(target) or "wsgi")
    result = run("check", DEMO, "-b", ":1", "-b", ":2")
    assert (result.exit_code, tried) == (0, [DEMO])


# --- the trial import ---


def tried(folder: Path, source: str, *, timeout_seconds: float = 30.0) -> str:
    (folder / "trial_app.py").write_text(source)
    return try_import(
        "trial_app:app", factory=False, interface="auto", app_dir=str(folder), timeout_seconds=timeout_seconds
    )


def test_trial_tells_the_interface_though_the_application_prints(tmp_path: Path) -> None:
    assert tried(tmp_path, "print('{}')\ndef app(environ, start_response): return []") == "wsgi"


def test_trial_raises_what_the_import_raised(tmp_path: Path) -> None:
    with pytest.raises(ApplicationNotFound) as caught:
        tried(tmp_path, "1 / 0")
    assert "ZeroDivisionError" in str(caught.value)


def test_application_that_ends_its_process_is_told(tmp_path: Path) -> None:
    with pytest.raises(ApplicationFailed, match="exited with status 7"):
        tried(tmp_path, "import os; os._exit(7)")


def test_application_that_crashes_is_told(tmp_path: Path) -> None:
    with pytest.raises(ApplicationFailed, match="was ended by SIGKILL"):
        tried(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")


def test_trial_needs_no_folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> NoReturn:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", refuse)
    monkeypatch.setattr("tempfile._get_default_tempdir", refuse)
    monkeypatch.setattr("tempfile.tempdir", None)
    assert tried(tmp_path, "def app(environ, start_response): return []") == "wsgi"


def test_a_long_answer_of_a_trial_arrives_whole_though_the_application_leaves_a_process_behind(tmp_path: Path) -> None:
    source = """if True:
        import os, signal
        leave, stay = os.pipe()
        if not os.fork():
            os.close(stay)
            os.read(leave, 1)  # until the parent is gone
            os._exit(0)
        raise RuntimeError("x" * 300_000)
    """
    with pytest.raises(ApplicationNotFound) as caught:
        tried(tmp_path, source)
    assert "x" * 300_000 in str(caught.value)


def test_import_that_does_not_end_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(ApplicationFailed, match=r"did not end within 0\.1 s"):
        tried(tmp_path, "import threading; threading.Event().wait()", timeout_seconds=0.1)


# --- hooks ---

HOOKS = """
def known(event):
    pass

async def waits(event):
    pass

number = 7
"""


@pytest.mark.parametrize(
    ("entry", "sentence", "status"),
    [
        ('worker_exited = "check_hooks:known"', "ok: hook check_hooks:known", 0),
        ('worker_exited = ["check_hooks:known", "check_hooks:know"]', "did you mean known?", 3),
        ('worker_exit = "check_hooks:known"', "did you mean worker_exited?", 2),
        ('worker_exited = "known"', "the hook 'known' is no import string.", 2),
        ('worker_exited = "a b:c d"', "the hook 'a b:c d' is no import string.", 2),
        ("worker_exited = 7", "the hook of worker_exited is 7", 2),
        ('worker_exited = "no_such_hooks:f"', "can't be loaded: there is no module 'no_such_hooks'.", 3),
        ('worker_exited = "check_hooks:waits"', "the hook check_hooks:waits is async.", 2),
        ('worker_exited = "check_hooks:number"', "the hook check_hooks:number can't be called.", 2),
    ],
)
def test_check_tries_the_hooks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entry: str, sentence: str, status: int
) -> None:
    monkeypatch.setattr("gracehttp.cli.check.try_import", lambda target, **rest: "asgi")
    (tmp_path / "check_hooks.py").write_text(HOOKS)
    file = tmp_path / "gracehttp.toml"
    file.write_text(f'app = "{DEMO}"\napp_dir = "{tmp_path}"\n\n[hooks]\n{entry}\n')
    result = run("check", "-c", str(file))
    assert result.exit_code == status, result.output
    assert sentence in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("name", "content", "status", "told"),
    [
        ("log.json", "{}", 0, "ok: log_config "),
        ("log.json", "[]", 2, "must be an object"),
        ("log.yaml", "version: 1", 2, "it must be JSON, or TOML"),
        ("log.yaml", "version: 1", 2, "Of YAML this makes JSON: python -c"),
        ("none.json", None, 2, "can't be read: No such file or directory"),
    ],
)
def test_check_reads_the_configuration_of_logging(
    tmp_path: Path, name: str, content: str | None, status: int, told: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    result = run("check", DEMO, "--log-config", str(path))
    assert result.exit_code == status, result.output
    assert told in result.output


def test_an_argument_that_is_none_of_the_words_is_told_with_its_name() -> None:
    result = run("example", "foo", "main:app")
    assert result.exit_code == 2
    assert result.stderr.startswith("gracehttp: error: TOOL: 'foo' is not one of 'systemd', ")


@pytest.mark.parametrize("number", ["x", "0", "65", "1.5"])
def test_a_number_of_the_demo_is_told_with_its_range(number: str) -> None:
    result = run("demo", "--workers", number)
    assert result.exit_code == 2
    assert f"--workers: '{number}' is not a whole number from 1 to 64." in result.stderr
