"""Workers come from a spare process that has loaded gracehttp beforehand, if a fresh one would load the same."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import site
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import get, get_on, is_alive, wait_until

import gracehttp
from gracehttp.worker.forking.reserves import FEWEST

APPLICATION = """
    import gc
    import os
    import sys

    FORKED = gc.get_freeze_count() > 1000
    EARLY = sorted(sys.modules)
    import json
    import resource
    import helper

    helper.times += 1

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        body = json.dumps({
            "forked": FORKED,
            "code": "first code",
            "times": helper.times,
            "had": [name for name in EARLY if name == "helper"],
            "directory": os.getcwd(),
            "limit": resource.getrlimit(resource.RLIMIT_NPROC)[0],
            "niceness": os.getpriority(os.PRIO_PROCESS, 0),
            "variables": [name for name in os.environ if name.endswith(("_CHANNEL", "_RELEASE_LINKS"))],
            "parent": os.getppid(),
            "title": open("/proc/self/comm").read().strip(),
        }).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})
"""
FILES = {"application.py": APPLICATION, "helper.py": "times = 0\n"}
SERVE = ("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0", "--log-level", "debug")


def begin(start, *options, workers=2, serve=SERVE, **how):
    server = start(*serve, "-w", workers, *options, files=FILES, **how)
    server.wait_until_serving()
    return server


def spare_of(server, count=1):
    return int(server.wait_for(r"a spare process has loaded gracehttp .* pid (\d+)", count=count)[1])


def answer(server):
    return json.loads(get(server.port)[1])


def restart(server, generation):
    server.send_signal(signal.SIGHUP)
    server.wait_until_serving(generation)
    server.wait_until_gone(generation - 1)


def test_the_workers_of_a_restart_are_forked_from_it_and_have_nothing_of_the_code_before(start):
    server = begin(start)
    assert not answer(server)["forked"], "the first generation comes before it"
    first = spare_of(server)
    server.write("application.py", APPLICATION.replace("first code", "new code"))
    restart(server, 2)
    now = answer(server)
    assert now["forked"]
    assert now["code"] == "new code"
    assert (now["times"], now["had"]) == (1, [])
    assert now["parent"] == server.process.pid
    assert now["title"].startswith("gracehttp-w")
    assert now["variables"] == [], "none of those that say what a process is"
    server.write("application.py", APPLICATION.replace("first code", "newer code"))
    restart(server, 3)
    assert (answer(server)["forked"], answer(server)["code"], answer(server)["times"]) == (True, "newer code", 1)
    assert server.log.count("a spare process has loaded") == 1, "the same one serves all restarts"
    assert server.stop() == 0
    assert not is_alive(first)


def test_a_worker_that_crashed_and_one_more_are_forked_from_it(start):
    server = begin(start, "--spare", "on", workers=1)
    spare_of(server)
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    server.wait_for(r"is ready after .* pid (\d+)", count=2)
    wait_until(lambda: answer(server)["forked"], what="the successor")


def test_a_single_worker_has_none(start):
    server = begin(start, workers=1)
    restart(server, 2)
    assert not answer(server)["forked"]
    assert "spare" not in server.log


def test_no_spare_process_is_there_if_it_is_not_wanted(start):
    server = begin(start, "--spare", "off")
    restart(server, 2)
    assert not answer(server)["forked"]
    assert "spare" not in server.log


@pytest.mark.parametrize("spare", ["auto", "on"])
def test_a_script_has_none_and_is_told_if_it_asks_for_one(start, spare):
    script = f"""
        import gracehttp

        grace = gracehttp.GraceHTTP(workers=1, log_level="debug", spare={spare!r})
        grace.add_server("application:app", bind="127.0.0.1:0")
        grace.run()
    """
    server = start("script.py", files={**FILES, "script.py": script})
    server.wait_until_serving()
    restart(server, 2)
    assert not answer(server)["forked"]
    told = [line for line in server.lines if "spare" in line]
    assert len(told) == (spare == "on")
    assert all("spare is on and has no effect here" in line for line in told)


OF_A_USER = """
    import os
    import sys

    with open(os.environ["RUNS"], "a") as runs:
        runs.write("spare\\n" if "GRACEHTTP_SPARE_CHANNEL" in os.environ else "other\\n")
    {call}
"""
CALLS = {
    "main": "from gracehttp.cli import main\n    main()",
    "command": "from gracehttp.cli.serve import serve\n    serve(sys.argv[2:])",
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_program_that_calls_the_command_has_none(start, tmp_path, call):
    """Its own code comes first, and must not run without need."""
    program = OF_A_USER.format(call=call)
    options = ("serve", "application:app", "-b", "127.0.0.1:0", "-w", "2", "--log-level", "debug")
    runs = tmp_path / "runs"
    server = start("program.py", *options, files={**FILES, "program.py": program}, environment={"RUNS": str(runs)})
    server.wait_until_serving()
    restart(server, 2)
    assert not answer(server)["forked"]
    assert "spare" not in server.log
    assert "spare" not in runs.read_text()


def test_a_program_that_is_called_as_the_command_and_begins_otherwise_becomes_no_second_supervisor(start):
    program = OF_A_USER.format(call=CALLS["command"])
    server = start(
        *("gracehttp", "serve", "application:app", "-b", "127.0.0.1:0", "-w", "2", "--log-level", "debug"),
        files={**FILES, "gracehttp": program},
        environment={"RUNS": os.devnull},
    )
    server.wait_until_serving()
    server.wait_for("no spare process is used: the program does not begin with gracehttp.cli.main")
    restart(server, 2)
    assert not answer(server)["forked"]
    assert server.log.count(" started, pid ") == 1 + 2 * 2, "the supervisor, and the workers of two generations"


def reserves_of(server, spare):
    """The PIDs of the processes that the spare one has forked in advance; waits for them."""

    def found():
        named = {}
        for child in Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split():
            with contextlib.suppress(OSError):
                named[int(child)] = Path(f"/proc/{child}/comm").read_text().strip()
        return [pid for pid, name in named.items() if name == "gracehttp-spare" and pid != spare]

    wait_until(lambda: len(found()) == FEWEST)
    return found()


def test_workers_are_processes_that_it_has_forked_before_they_were_needed(start):
    server = begin(start)
    reserves = reserves_of(server, spare_of(server))
    restart(server, 2)
    pids = server.wait_for(r"generation 2 serves, pids (\d+), (\d+)").groups()
    assert sorted(map(int, pids)) == sorted(reserves)
    assert answer(server)["forked"]
    assert answer(server)["parent"] == server.process.pid
    assert set(reserves_of(server, spare_of(server))).isdisjoint(reserves), "there are new ones"


def test_workers_that_wait_and_are_killed_delay_no_restart(start):
    server = begin(start)
    spare = spare_of(server)
    for pid in reserves_of(server, spare):
        os.kill(pid, signal.SIGKILL)
    restart(server, 2)
    assert answer(server)["forked"]
    assert is_alive(spare), "it has forked them now"
    assert "no spare process is used" not in server.log


def test_a_worker_that_waits_and_is_stopped_is_given_up_with_the_spare_process(start):
    server = begin(start)
    spare = spare_of(server)
    reserves = reserves_of(server, spare)
    for pid in reserves:
        os.kill(pid, signal.SIGSTOP)
    restart(server, 2)
    assert not answer(server)["forked"]
    for pid in (spare, *reserves):
        wait_until(lambda pid=pid: not is_alive(pid), what="its end, though it was never continued")


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_workers_that_wait_end_with_the_spare_process(start, stopped):
    server = begin(start)
    spare = spare_of(server)
    reserves_of(server, spare)
    restart(server, 2)  # the workers that serve now hold none of them
    reserves = reserves_of(server, spare)
    for pid in reserves if stopped else ():
        os.kill(pid, signal.SIGSTOP)
    os.kill(spare, signal.SIGKILL)
    for pid in reserves:
        wait_until(lambda pid=pid: not is_alive(pid), what="its end")
    assert answer(server)["forked"], "who serves was one, and lives on"


def test_a_killed_one_delays_no_restart(start):
    server = begin(start)
    os.kill(spare_of(server), signal.SIGKILL)
    server.wait_for("the spare process was killed by SIGKILL")
    restart(server, 2)
    assert not answer(server)["forked"]
    spare_of(server, 2)
    restart(server, 3)
    assert answer(server)["forked"]


def test_a_stopped_one_is_given_up_and_its_worker_is_started_without_it(start):
    server = begin(start)
    spare = spare_of(server)
    os.kill(spare, signal.SIGSTOP)
    restart(server, 2)
    server.wait_for("no spare process is used: the spare process did not fork it within 2 s")
    assert not answer(server)["forked"]
    assert not is_alive(spare)


def test_one_that_is_killed_while_it_forks_delays_no_restart(start):
    server = begin(start)
    spare = spare_of(server)
    os.kill(spare, signal.SIGSTOP)
    server.send_signal(signal.SIGHUP)
    server.wait_for("starting generation 2")
    os.kill(spare, signal.SIGKILL)
    server.wait_until_serving(2)
    assert not answer(server)["forked"]


@pytest.fixture
def own_gracehttp(tmp_path):
    """A copy of the package that a test may change, interpreted, and found before the installed one."""
    folder = tmp_path / "copy"
    shutil.copytree(
        Path(gracehttp.__file__).parent, folder / "gracehttp", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    return folder


def of(own_gracehttp):
    return {"PYTHONPATH": str(own_gracehttp), "GRACEHTTP_COMPILED": "off"}


def test_a_file_of_gracehttp_that_has_changed_is_loaded_by_a_restart(start, own_gracehttp):
    server = begin(start, environment=of(own_gracehttp))
    spare_of(server)
    changed = own_gracehttp / "gracehttp/http/server_fields.py"
    changed.write_text(changed.read_text() + "\nCHANGED = True\n")
    restart(server, 2)
    server.wait_for(f"no spare process is used: {changed} has changed")
    assert not answer(server)["forked"]
    spare_of(server, 2)
    restart(server, 3)
    assert answer(server)["forked"]


def test_a_module_that_would_be_found_earlier_counts_as_a_change(start, own_gracehttp):
    server = begin(start, environment=of(own_gracehttp))
    spare_of(server)
    (own_gracehttp / "sitecustomize.py").write_text("")
    restart(server, 2)
    server.wait_for("no spare process is used: .*sitecustomize.py has come or gone")
    assert not answer(server)["forked"]


@pytest.mark.parametrize(
    "code",
    [
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()",
        "sys.setprofile(lambda *_: None)",
        "import socket\nsys.connection_to_a_collector = socket.socket()",
    ],
    ids=["thread", "profiler", "socket"],
)
def test_what_runs_in_every_process_from_its_start_keeps_it_from_being_used(start, tmp_path, code):
    folder = tmp_path / "site"
    folder.mkdir()
    only = "import os, sys\nif 'GRACEHTTP_SPARE_CHANNEL' in os.environ:\n"
    (folder / "sitecustomize.py").write_text(only + "".join(f"    {line}\n" for line in code.splitlines()))
    server = begin(start, environment={"PYTHONPATH": str(folder)})
    server.wait_for("no spare process is used: it(s interpreter| has)")
    restart(server, 2)
    assert not answer(server)["forked"]


def test_a_folder_behind_a_link_is_followed(start, tmp_path):
    for number in ("1", "2"):
        folder = tmp_path / number
        folder.mkdir()
        for name, text in FILES.items():
            (folder / name).write_text(textwrap.dedent(text).replace("first code", number))
    current = tmp_path / "current"
    current.symlink_to("1")
    server = start(*SERVE, "--workers", "2", folder=current)
    server.wait_until_serving()
    spare_of(server)
    assert answer(server)["code"] == "1"
    new = tmp_path / "new"
    new.symlink_to("2")
    new.rename(current)
    restart(server, 2)
    now = answer(server)
    assert (now["code"], now["directory"], now["forked"]) == ("2", str(tmp_path / "2"), True)


def test_an_environment_behind_a_link_is_followed_by_a_fresh_process(start, tmp_path):
    """Two interpreters, each with a link of its own."""
    current = tmp_path / "current"
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / number / "venv"], check=True)
        packages = tmp_path / number / f"venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
        for one in site.getsitepackages():
            (packages / "packages.pth").write_text(f"import site; site.addsitedir({one!r})\n")
    current.symlink_to("1")
    server = begin(start, program=(current / "venv/bin/python",))
    spare_of(server)
    new = tmp_path / "new"
    new.symlink_to("2")
    new.rename(current)
    restart(server, 2)
    server.wait_for("no spare process is used: .*/2/venv/bin/python is to be run")
    assert not answer(server)["forked"]
    worker = max(server.workers())
    assert os.environ.get("VIRTUAL_ENV") != str(tmp_path / "2/venv")
    spare_of(server, 2)
    restart(server, 3)
    assert answer(server)["forked"]
    assert not is_alive(worker)


def test_limits_that_were_changed_since_hold_for_new_workers(start):
    server = begin(start)
    spare_of(server)
    before = answer(server)["niceness"]
    os.setpriority(os.PRIO_PROCESS, server.process.pid, before + 1)
    restart(server, 2)
    server.wait_for("no spare process is used: what processes inherit has changed since")
    assert answer(server)["niceness"] == before + 1


def test_new_options_and_a_broken_file_of_options_are_read_by_each_worker(start):
    options = 'app = "application:app"\nbind = "127.0.0.1:0"\nworkers = 2\nlog_level = "debug"\n'
    server = start("-m", "gracehttp", "serve", "-c", "options.toml", files={**FILES, "options.toml": options})
    server.wait_until_serving()
    spare_of(server)
    server.write("options.toml", options.replace("workers = 2", "workers = 3"))
    restart(server, 2)
    assert len(server.workers()) == 3
    assert answer(server)["forked"]
    server.write("options.toml", "workers = ")
    server.send_signal(signal.SIGHUP)
    server.wait_for("generation 3 was given up")
    assert answer(server)["code"] == "first code"
    server.write("options.toml", options)
    server.send_signal(signal.SIGHUP)
    server.wait_until_serving(4)


def test_preload_and_the_spare_process_go_together(start):
    server = begin(start, "--preload")
    spare_of(server)
    restart(server, 2)
    assert answer(server)["forked"]
    server.wait_for("the template of generation 2 has imported")


def test_a_supervisor_that_replaces_itself_leaves_none_behind(start):
    server = begin(start)
    spare = spare_of(server)
    server.send_signal(signal.SIGUSR2)
    server.wait_until_serving(2)
    wait_until(lambda: not is_alive(spare), what="the end of the spare process")
    assert not answer(server)["forked"]
    spare_of(server, 2)
    restart(server, 3)
    assert answer(server)["forked"]


def test_it_ends_with_a_supervisor_that_was_killed(start):
    server = begin(start)
    spare = spare_of(server)
    os.kill(server.process.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(spare), what="the end of the spare process")


def test_twenty_restarts_under_load_lose_nothing(start):
    server = begin(start)
    spare_of(server)
    over, failures, answered = threading.Event(), [], itertools.count()

    def ask():
        try:
            with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as kept:
                while not over.is_set():
                    assert get_on(kept)[0] == 200
                    assert get(server.port, timeout=DEADLINE_SECONDS)[0] == 200
                    next(answered)
        except BaseException as exc:
            failures.append(repr(exc))

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        for generation in range(2, 22):
            server.send_signal(signal.SIGHUP)
            server.wait_until_serving(generation)
    finally:
        over.set()
        for client in clients:
            client.join()
    assert not failures
    assert next(answered) > 20
    assert server.log.count("a spare process has loaded") == 1
    assert answer(server)["forked"]


@pytest.mark.parametrize("form", ["folder of the application", "file of options"])
def test_names_behind_a_link_lead_where_they_lead_for_the_generation(start, tmp_path, form):
    """Also those that a worker looks up itself."""
    for number in ("1", "2"):
        folder = tmp_path / number
        folder.mkdir()
        for name, text in FILES.items():
            (folder / name).write_text(textwrap.dedent(text).replace("first code", number))
        (folder / "gracehttp.toml").write_text('app = "application:app"\napp_dir = "."\nbind = "127.0.0.1:0"\n')
    current = tmp_path / "current"
    current.symlink_to("1")
    how = ["-c", current / "gracehttp.toml"]
    if form == "folder of the application":
        how = ["application:app", "-b", "127.0.0.1:0", "--app-dir", current]
    server = start("-m", "gracehttp", "serve", *how, "-w", "2", "--log-level", "debug", folder=tmp_path)
    server.wait_until_serving()
    spare_of(server)
    new = tmp_path / "new"
    new.symlink_to("2")
    new.rename(current)
    victim = server.workers()[0]
    os.kill(victim, signal.SIGKILL)
    server.wait_for("is ready after", count=3)
    assert answer(server)["code"] == "1", "its generation serves"
    restart(server, 2)
    now = answer(server)
    assert (now["code"], now["forked"]) == ("2", True)
    assert "GRACEHTTP_RELEASE_LINKS" not in now["variables"]
