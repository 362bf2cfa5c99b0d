"""`--reload`, as a person at an editor sees it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess

import pytest
from server_harness import DEADLINE_SECONDS, children_of, get, is_alive, read_until, wait_until

ANSWERS = """
    async def app(scope, receive, send):
        assert scope["type"] == "http"
        body = b"{}"
        fields = [(b"content-length", str(len(body)).encode())]
        await send({{"type": "http.response.start", "status": 200, "headers": fields}})
        await send({{"type": "http.response.body", "body": body}})
"""


def answering(text, before=""):
    return before + ANSWERS.format(text).replace("\n    ", "\n")


@pytest.fixture
def reloading(start):
    """A server with --reload whose watch has begun."""

    def begin(*arguments, files=None, **options):
        server = start(
            *("-m", "gracehttp", "serve", "main:app", "--bind", "127.0.0.1:0", "--reload", *arguments),
            files={"main.py": answering("one"), **(files or {})},
            **options,
        )
        server.wait_for("a change restarts: watching")
        return server

    return begin


def test_a_change_restarts_and_is_named(reloading) -> None:
    server = reloading()
    server.wait_until_serving()
    assert get(server.port) == (200, "one")
    server.write("main.py", answering("two"))
    server.wait_for("restart requested by a change of main.py: starting generation 2")
    server.wait_until_serving(2)
    assert get(server.port) == (200, "two")


def test_an_editor_that_replaces_the_file_is_noticed_and_restarts_once(reloading) -> None:
    server = reloading()
    server.wait_until_serving()
    server.write(".main.py.swp", "swap")
    server.write("main.py~", answering("one"))
    os.replace(server.write("4913", answering("two")), server.folder / "main.py")
    server.wait_until_serving(2)
    assert get(server.port) == (200, "two")
    server.write("other.py", "")
    server.wait_for("restart requested by a change of other.py: starting generation 3")


def test_the_old_code_serves_while_the_new_one_is_broken(reloading) -> None:
    server = reloading()
    server.wait_until_serving()
    server.write("main.py", "import nothing_of_that_name\n")
    server.wait_for("ModuleNotFoundError: No module named 'nothing_of_that_name'")
    server.wait_for("generation 2 was given up: .*generation 1 serves on")
    assert get(server.port) == (200, "one")
    server.write("main.py", answering("three"))
    server.wait_until_serving(3)
    assert get(server.port) == (200, "three")


def test_a_first_start_that_fails_waits_for_a_change(reloading) -> None:
    server = reloading(files={"main.py": "def (\n"})
    server.wait_for("SyntaxError: invalid syntax")
    server.wait_for("nothing serves; the next change of a file starts it again")
    server.write("main.py", answering("two"))
    server.wait_until_serving(2)
    assert get(server.ports[-1]) == (200, "two")  # the first worker had been given another free port


def test_a_port_in_use_is_no_matter_of_code_and_ends_it(start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        arguments = ("-m", "gracehttp", "serve", "main:app", "--bind", address, "--reload")
        server = start(*arguments, files={"main.py": answering("one")})
        assert server.wait() == 3
    assert "in use" in server.log


def test_patterns_include_and_exclude(reloading) -> None:
    files = {"page.html": "one", ".env": "A=1", "made/x.py": "one", "data.db": "one"}
    arguments = ("--reload-include", "*.html", "--reload-include", ".env", "--reload-exclude", "made")
    server = reloading(*arguments, files=files)
    server.wait_until_serving()
    for number, name in enumerate(["page.html", ".env"], 2):
        server.write(name, "two")
        server.wait_for(rf"restart requested by a change of {name}: starting generation {number}")
        server.wait_until_serving(number)
    server.write("made/x.py", "two")
    server.write("data.db", "two")
    server.write("__pycache__/x.py", "two")
    server.write("main.py", answering("two"))
    server.wait_for("restart requested by a change of main.py: starting generation 4")  # alone, and nothing before it


def test_another_folder_is_watched_alone(reloading, tmp_path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library/x.py").write_text("one")
    server = reloading("--reload-dir", "library")
    server.wait_until_serving()
    server.write("main.py", answering("two"))
    server.write("library/x.py", "two")
    server.wait_for("restart requested by a change of x.py: starting generation 2")


WRITES_INTO_ITS_FOLDER = """
import pathlib, time
here = pathlib.Path(__file__).parent
(here / "made.py").write_text("x = 1")
(here / "log.txt").write_text(str(time.time()))
"""


def test_an_application_that_writes_into_its_folder_makes_no_loop(reloading) -> None:
    server = reloading(files={"main.py": answering("one", WRITES_INTO_ITS_FOLDER)})
    server.write("main.py", answering("two", WRITES_INTO_ITS_FOLDER))
    wait_until(lambda: get(server.port) == (200, "two"), what="the new code")
    server.write("main.py", answering("three", WRITES_INTO_ITS_FOLDER))
    wait_until(lambda: get(server.port) == (200, "three"), what="the new code")
    server.write("last.py", "")
    server.wait_for("restart requested by a change of last.py")
    # made.py may have come before the first look, or after it: then it has changed, once.
    assert len(re.findall("restart requested by .*made.py", server.log)) <= 1
    assert len(re.findall("restart requested by", server.log)) <= 4


WRITES_CODE = """
import pathlib, time
(pathlib.Path(__file__).parent / "made.py").write_text(f"x = {time.time()}")
"""


def test_an_application_that_writes_other_code_at_each_start_is_noticed(reloading) -> None:
    server = reloading(files={"main.py": answering("one", WRITES_CODE)})
    server.write("main.py", answering("two", WRITES_CODE))
    server.wait_for(r"made\.py changes at each restart, so the application writes there")
    wait_until(lambda: get(server.port) == (200, "two"), what="the new code")


def test_a_change_during_a_restart_leads_to_one_more(reloading, tmp_path) -> None:
    server = reloading()
    server.wait_until_serving()
    slow = "import os, time\nopen('begun', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    server.write("main.py", answering("two", slow))
    wait_until((tmp_path / "begun").exists, what="the start")
    server.write("main.py", answering("three"))
    server.write("go", "")
    server.wait_until_serving(2)
    server.wait_for("restart requested by a change of main.py: starting generation 3")
    server.wait_until_serving(3)
    assert get(server.port) == (200, "three")


@pytest.mark.parametrize(
    ("arguments", "environment"), [(["--reload-polling"], {}), ([], {"WATCHFILES_FORCE_POLLING": "1"})]
)
def test_polling_notices_too(reloading, arguments, environment) -> None:
    server = reloading(*arguments, environment=environment)
    server.wait_until_serving()
    server.write("main.py", answering("two"))
    server.wait_until_serving(2)
    assert get(server.port) == (200, "two")


@pytest.mark.parametrize(
    ("limit", "why"),
    [
        ("max_inotify_watches", "no watches are left|watch limit"),  # some folders are watched before that
        ("max_inotify_instances", "Too many open files"),
    ],
)
def test_where_notifications_run_out_it_looks_at_intervals_by_itself(reloading, limit, why) -> None:
    """The limits are those of a user namespace (sysctl user.*, user_namespaces(7))."""
    unshare = ("unshare", "--user", "--map-root-user")
    some = 2 if limit == "max_inotify_watches" else 0
    setting = f"echo {some} > /proc/sys/user/{limit}"
    if (
        shutil.which("unshare") is None
        or subprocess.run([*unshare, "sh", "-c", setting], capture_output=True).returncode
    ):
        pytest.skip("no user namespace with limits of its own can be made here")
    folders = {f"{name}/part.py": "" for name in "abcdef"}
    server = reloading(files=folders, launcher=[*unshare, "sh", "-c", f'{setting}; exec "$@"', "sh"])
    server.wait_for(rf"watching 7 files in .*, at intervals \(.*({why})")
    server.wait_until_serving()
    generation = 1
    for name in "abcdef":
        generation += 1
        server.write(f"{name}/part.py", "changed = True\n")
        server.wait_for(rf"a change of {name}/part\.py")
        server.wait_until_serving(generation)
    assert "Traceback" not in server.log


def test_from_a_file_of_options(start) -> None:
    text = """
        app = "main:app"
        bind = "127.0.0.1:0"
        reload = true
        reload_dir = [".", "other"]
        reload_include = ["*.html"]
    """
    files = {"main.py": answering("one"), "conf.toml": text, "other/page.html": "one"}
    server = start("-m", "gracehttp", "serve", "--config", "conf.toml", files=files)
    server.wait_for("a change restarts: watching 2 files")
    server.write("other/page.html", "two")
    server.wait_for("restart requested by a change of page.html: starting generation 2")


def test_from_a_script(start) -> None:
    script = "import gracehttp\ngracehttp.run('main:app', bind='127.0.0.1:0', reload=True, reload_exclude=['x.py'])\n"
    server = start("script.py", files={"main.py": answering("one"), "script.py": script})
    server.wait_for("a change restarts: watching 2 files")
    server.write("script.py", script + "# changed\n")
    server.wait_for("restart requested by a change of script.py: starting generation 2")
    server.wait_until_serving(2)


def test_the_watcher_survives_no_supervisor_and_its_loss_is_told(reloading) -> None:
    server = reloading()
    workers = server.wait_until_serving()
    (watcher,) = set(children_of(server.pid)) - set(workers)
    os.kill(watcher, signal.SIGKILL)
    server.wait_for("changes of files restart no more, because their watcher was killed by SIGKILL; HUP restarts")
    server.restart(2)
    assert server.stop() == 0


def test_the_watcher_ends_with_the_supervisor(reloading) -> None:
    server = reloading()
    workers = server.wait_until_serving()
    (watcher,) = set(children_of(server.pid)) - set(workers)
    server.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_alive(watcher), what="the end of the watcher")


def test_a_supervisor_that_replaces_itself_watches_on(reloading) -> None:
    server = reloading()
    workers = server.wait_until_serving()
    (watcher,) = set(children_of(server.pid)) - set(workers)
    server.send_signal(signal.SIGUSR2)
    server.wait_until_serving(2)
    server.wait_for("a change restarts: watching", count=2)
    wait_until(lambda: not is_alive(watcher), what="the end of the first watcher")
    server.write("main.py", answering("two"))
    server.wait_until_serving(3)
    assert get(server.port) == (200, "two")


STUBBORN = """
    import asyncio

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await asyncio.sleep(3600)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            try:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                pass
"""


def test_ctrl_c_waits_neither_for_streams_nor_for_applications(reloading) -> None:
    server = reloading(files={"main.py": STUBBORN})
    server.wait_until_serving()
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert sock.recv(100)
        server.send_signal(signal.SIGINT)
        server.wait()
    server.wait_for("forced stop requested by SIGINT 0.8 s ago")
    assert "lifespan shutdown of the application took longer" not in server.log, "it was not waited for"


# --- the terminal ---


@pytest.mark.parametrize("option", ["--reload", "--no-reload"])
def test_a_closed_terminal_ends_it(at_a_terminal, tmp_path, option) -> None:
    (tmp_path / "main.py").write_text(answering("one"))
    pid, terminal = at_a_terminal("-m", "gracehttp", "serve", "main:app", "--bind", "127.0.0.1:0", option)
    read_until(terminal, "generation 1 serves")
    os.kill(pid, signal.SIGHUP)  # with its terminal open, that restarts
    read_until(terminal, "generation 2 serves")
    children = children_of(pid)
    os.close(terminal)  # the kernel sends SIGHUP to the session
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    wait_until(lambda: not any(map(is_alive, children)), what="the end of all processes")


def test_ctrl_c_at_a_terminal_ends_it(at_a_terminal, tmp_path) -> None:
    (tmp_path / "main.py").write_text(answering("one"))
    pid, terminal = at_a_terminal("-m", "gracehttp", "serve", "main:app", "--bind", "127.0.0.1:0", "--reload")
    read_until(terminal, "a change restarts")
    os.write(terminal, b"\x03")
    read_until(terminal, "gracehttp stopped")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
