"""Files that change while a generation starts: all of its workers run the same code, or it doesn't serve."""

from __future__ import annotations

import os
import signal

import pytest
from server_harness import get, wait_until

APPLICATION = """
    async def app(scope, receive, send):
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one"})
"""
CHANGES_ONCE = (
    """
    import os
    from pathlib import Path

    # As a deploy that overlaps the start: the file changes when the first worker has imported it.
    if not os.path.exists("changed"):
        Path("changed").touch()
        Path(__file__).write_text(Path(__file__).read_text().replace("one", "two"))
"""
    + APPLICATION
)
CHANGES_ALWAYS = CHANGES_ONCE.replace('if not os.path.exists("changed")', "if True").replace(
    '.replace("one", "two")', ' + "#"'
)
FORKED = """
    import os

    def forked(event):
        assert event.pid == os.getpid()
        with open("forked", "a") as file:
            file.write(f"{os.getpid()}\\n")
"""
SERVE = ("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0")


def test_a_restart_whose_workers_differ_is_refused_and_the_old_code_serves_on(start):
    server = start(*SERVE, "-w", 2, files={"application.py": APPLICATION})
    server.wait_until_serving()
    server.write("application.py", CHANGES_ONCE)
    refused = server.command("restart")
    assert refused.returncode == 1
    assert "its worker 4 imported other code than worker 3: " in refused.stderr
    assert "application.py changed while the generation started; generation 1 serves on" in refused.stderr
    assert "Hint: restart again when the new code is in place" in refused.stderr
    assert {get(server.port)[1] for _ in range(20)} == {"one"}
    assert server.command("restart").returncode == 0
    assert {get(server.port)[1] for _ in range(20)} == {"two"}


def test_a_first_start_whose_workers_differ_begins_anew(start):
    server = start(*SERVE, "-w", 2, files={"application.py": CHANGES_ONCE})
    server.wait_for("generation 1 starts again from the beginning, as generation 2")
    server.wait_until_serving(2)
    assert {get(server.ports[-1])[1] for _ in range(20)} == {"two"}, "any free port: it was closed and opened again"


def test_a_service_whose_workers_never_come_to_be_alike_does_not_start(start):
    server = start(*SERVE, "-w", 2, files={"application.py": CHANGES_ALWAYS})
    assert server.wait() == 3
    assert server.log.count("imported other code than worker") >= 3
    assert "--preload imports it once" in server.log
    assert "Traceback" not in server.log


def test_with_preload_all_workers_have_what_was_imported_once(start):
    server = start(*SERVE, "-w", 2, "--preload", files={"application.py": CHANGES_ALWAYS})
    server.wait_until_serving()
    assert "imported other code" not in server.log


def test_one_process_that_imports_a_file_before_a_change_and_another_one_after_it_does_not_serve(start):
    late = "number = 1"
    begins = CHANGES_ONCE.replace('Path("changed").touch()', 'Path("changed").touch(); Path("late.py").write_text("")')
    server = start(*SERVE, "-w", 1, files={"application.py": begins + "\n    import late\n", "late.py": late})
    server.wait_for("worker 1 of generation 1 imported .*application.py before a change, and other files after it")
    server.wait_until_serving(2)


def test_a_worker_that_replaces_a_crashed_one_and_differs_serves_and_the_status_tells(start):
    server = start(*SERVE, "-w", 2, files={"application.py": APPLICATION})
    pids = server.wait_until_serving()
    server.write("application.py", APPLICATION.replace("one", "two"))
    os.kill(pids[0], signal.SIGKILL)
    server.wait_for("worker 3 runs other code than generation 1 started with")
    wait_until(lambda: {get(server.port)[1] for _ in range(20)} == {"one", "two"})
    workers = server.status()["generations"][0]["workers"]
    assert [one["other_code"] for one in workers] == [False, True]
    assert "serving, other code" in server.command("status").stdout


@pytest.mark.parametrize("workers", [1, 2])
def test_with_reload_a_change_during_the_start_is_no_noise(start, workers):
    server = start(*SERVE, "-w", workers, "--reload", files={"application.py": CHANGES_ONCE})
    server.wait_until_serving()
    assert "imported other code" not in server.log
    assert "starts again from the beginning" not in server.log


@pytest.mark.parametrize("workers", [1, 3])
def test_worker_forked_is_called_in_every_worker_of_a_preloaded_generation(start, workers):
    options = "[hooks]\nworker_forked = 'my_hooks:forked'\n"
    files = {"application.py": APPLICATION, "my_hooks.py": FORKED, "gracehttp.toml": options}
    server = start(*SERVE, "-w", workers, "--preload", "-c", "gracehttp.toml", files=files)
    pids = server.wait_until_serving()
    assert sorted(map(int, (server.folder / "forked").read_text().split())) == sorted(pids)
