"""What a service takes from its surroundings: variables, folder, umask, and what ps shows of its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from server_harness import children_of, get, wait_until

from gracehttp.cli.process_table import supervisors

SHOWS = """
    import os

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        umask = os.umask(0)
        os.umask(umask)
        body = f"{os.environ.get('GREETING')} {os.environ.get('OTHER')} {os.getcwd()} {umask:03o}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})
"""


def shown_by_ps(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()


def test_a_restart_brings_new_variables_and_the_environment_stays_above(start, tmp_path):
    server = start(
        *("-m", "gracehttp", "serve", "main:app", "--port", "0", "--env-file", ".env"),
        files={"main.py": SHOWS, ".env": "GREETING=hello\nOTHER=file\nGRACEHTTP_WORKERS=2\n"},
        environment={"OTHER": "shell"},
    )
    assert len(server.wait_until_serving()) == 2
    assert get(server.port)[1].startswith("hello shell ")
    server.write(".env", "GREETING=salut\nOTHER=file\n")
    assert len(server.restart(2)) == 1
    assert get(server.port)[1].startswith("salut shell ")


def test_chdir_is_as_if_the_command_had_been_given_there(start, tmp_path):
    server = start(
        *("-m", "gracehttp", "serve", "--chdir", "there", "--config", "g.toml", "--umask", "027"),
        *("--host", "127.0.0.1", "--port", "0", "--pidfile", "x.pid"),
        files={"there/main.py": SHOWS, "g.toml": 'app = "main:app"\n'},
    )
    server.wait_until_serving()
    assert get(server.port)[1] == f"None None {tmp_path}/there 027"
    assert int((tmp_path / "there" / "x.pid").read_text()) == server.pid
    assert (tmp_path / "there" / "x.pid").stat().st_mode & 0o777 == 0o640
    server.restart(2)
    assert get(server.port)[1] == f"None None {tmp_path}/there 027"
    server.send_signal(signal.SIGUSR2)
    server.wait_until_serving(3)
    assert get(server.port)[1] == f"None None {tmp_path}/there 027"


def test_folder_that_is_not_there_is_a_mistake_in_the_options(start):
    server = start("-m", "gracehttp", "serve", "main:app", "--chdir", "nowhere", files={"main.py": SHOWS})
    assert server.wait() == 2
    assert server.log == (
        "gracehttp: error: cannot change to the folder nowhere: No such file or directory.\nHint: see --chdir"
    )


def test_ps_tells_which_process_is_which(start, tmp_path):
    (tmp_path / "long").mkdir()
    server = start(
        *("-m", "gracehttp", "serve", "main:app", "--port", "0", "--preload", "--workers", "2"),
        *("--app-dir", str(tmp_path), "--ready-timeout", "60s", "--drain-timeout", "60s"),
        files={"main.py": SHOWS},
    )
    workers = server.wait_until_serving()
    assert shown_by_ps(server.pid) == "gracehttp: supervisor [main:app]"
    # That is how a command that names no supervisor can name those that there are.
    assert (server.pid, "main:app") in supervisors()
    assert Path(f"/proc/{server.pid}/comm").read_text() == "gracehttp\n"
    titles = {pid: shown_by_ps(pid) for pid in wait_until(lambda: len(server.workers()) == 3 and server.workers())}
    assert sorted(titles[pid] for pid in workers) == [
        "gracehttp: worker 1 of generation 1 [main:app]",
        "gracehttp: worker 2 of generation 1 [main:app]",
    ]
    assert [titles[pid] for pid in titles if pid not in workers] == ["gracehttp: template of generation 1 [main:app]"]
    comms = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in children_of(server.pid)}
    assert comms == {"gracehttp-w1", "gracehttp-w2", "gracehttp-t1"}
    server.send_signal(signal.SIGUSR2)
    server.wait_until_serving(2)
    assert shown_by_ps(server.pid) == "gracehttp: supervisor [main:app]"


def test_a_name_of_its_own_stands_in_ps_and_a_title_fits_where_the_arguments_were(start, tmp_path):
    options = f'app = "main:app"\nport = 0\nproc_name = "{"x" * 500}"\n'
    server = start("-m", "gracehttp", "serve", "-c", "g.toml", files={"main.py": SHOWS, "g.toml": options})
    (worker,) = server.wait_until_serving()
    room = len(b"\0".join(os.fsencode(one) for one in server.process.args))
    assert shown_by_ps(worker) == ("gracehttp: worker 1 of generation 1 [" + "x" * 500)[:room]


def test_factory_with_arguments_is_served(start):
    factory = """
        def create_app(text, *, status):
            def app(environ, start_response):
                start_response(status, [("Content-Length", str(len(text)))])
                return [text.encode()]
            return app
    """
    server = start(
        *("-m", "gracehttp", "serve", "main:create_app('a:b', status='201 Made')", "--port", "0"),
        files={"main.py": factory},
    )
    server.wait_until_serving()
    assert get(server.port) == (201, "a:b")


@pytest.mark.parametrize("arguments", [["--version"], ["serve", "main:app"]])
def test_a_build_that_does_not_exist_is_refused_by_every_command(arguments, tmp_path):
    command = [sys.executable, "-m", "gracehttp", *arguments]
    environment = {**os.environ, "GRACEHTTP_COMPILED": "bogus"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "gracehttp: error: GRACEHTTP_COMPILED is 'bogus'.\nHint: it can be auto, off, require\n"


def test_too_few_open_files_for_a_worker_are_a_sentence(start):
    """Where uvloop runs out of them, its loop can't even be closed."""
    for limit in range(19, 23):
        server = start(
            "-m", "gracehttp", "serve", "main:app", "--port", "0", files={"main.py": SHOWS}, most_files=limit
        )
        if server.wait() == 3:
            assert "unexpected" not in server.log
            assert "Too many open files" in server.log


def test_results_of_commands_are_told_once(start):
    server = start("-m", "gracehttp", "serve", "main:app", "--port", "0", files={"main.py": SHOWS})
    server.wait_until_serving()
    done = server.command("restart")
    assert f"{done.stdout}{done.stderr}".count("generation 2 serves") == 1
    done = server.command("stop")
    assert f"{done.stdout}{done.stderr}".count("stopped") == 1


def test_a_lifespan_that_fails_with_a_sentence_tells_it_once(start):
    application = """
        async def app(scope, receive, send):
            await send({"type": "lifespan.startup.failed", "message": "no database"})
    """
    server = start("-m", "gracehttp", "serve", "main:app", "--port", "0", files={"main.py": application})
    assert server.wait() == 3
    failed = server.wait_for("worker 1 of generation 1 failed")
    assert failed
    assert [line for line in server.lines if line.strip() == "no database"] == []


def test_an_address_that_the_program_holds_itself_is_said_to_be_so(start):
    script = """
        import socket
        import gracehttp

        held = socket.create_server(("127.0.0.1", 0))
        gracehttp.run("main:app", bind=f"127.0.0.1:{held.getsockname()[1]}")
    """
    server = start("script.py", files={"script.py": script, "main.py": SHOWS})
    assert server.wait() == 3
    assert "this program listens there itself already" in server.log


def test_a_second_service_on_the_port_of_a_first_one_is_told_how_to_restart_that(start):
    first = start("-m", "gracehttp", "serve", "main:app", "--port", "0", "--workers", "2", files={"main.py": SHOWS})
    first.wait_until_serving()
    second = start("-m", "gracehttp", "serve", "main:app", "--port", str(first.port), files={"main.py": SHOWS})
    assert second.wait() == 3
    assert f"it is in use by pid {first.pid} (gracehttp)" in second.log
    assert f"gracehttp restart --pid {first.pid} brings new code" in second.log
