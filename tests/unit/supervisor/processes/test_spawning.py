"""A child process that runs a command line, and a parent that doesn't wait for that."""

from __future__ import annotations

import errno
import os
import signal
import sys

import pytest

from gracehttp.supervisor.processes import spawning
from gracehttp.supervisor.processes.command_line import CommandLine
from gracehttp.supervisor.processes.process import describe_exit
from gracehttp.supervisor.processes.spawning import CANNOT_RUN, in_the_way, spawn
from gracehttp.wire.signals import SIGNALS


class Child:
    """Spawned, with what it wrote to stderr; ended and waited for in any case."""

    def __init__(self, *arguments, program=None, directory="/", environment=None, pass_fds=()):
        read_end, write_end = os.pipe()
        self.stderr = os.fdopen(read_end, "rb")
        try:
            line = CommandLine((program or sys.executable, *arguments), str(directory))
            self.pid = spawn(line.launch(), environment or {}, pass_fds=pass_fds, stderr=write_end)
        finally:
            os.close(write_end)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.stderr.close()
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def wait(self):
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)


def said_by(code, **options):
    with Child("-c", code, **options) as child:
        said = child.stderr.read().decode()
        assert child.wait() == 0, said
        return said.strip()


def test_the_parent_goes_on_though_the_child_does_not_get_to_run_the_command_line(monkeypatch):
    def hang(*_arguments):  # as on a file system that doesn't answer, or stopped by SIGSTOP
        os.write(2, b"hanging")
        signal.pause()

    monkeypatch.setattr(os, "execve", hang)
    with Child("-c", "") as child:
        assert child.stderr.read(7) == b"hanging"


def test_the_child_runs_the_command_line_in_its_folder_with_its_environment(tmp_path):
    code = "import os, sys; print(os.getcwd(), os.environ['MARK'], file=sys.stderr)"
    assert said_by(code, directory=tmp_path, environment={"MARK": "here"}) == f"{tmp_path} here"


def test_the_child_has_the_descriptors_that_it_was_given_and_no_others():
    kept, dropped = os.pipe()
    os.set_inheritable(dropped, True)
    listing = "import os, sys; print(*(n for n in range(99) if os.path.exists(f'/proc/self/fd/{n}')), file=sys.stderr)"
    try:
        assert said_by(listing, pass_fds=(kept,)) == f"0 1 2 {kept}"
        assert not os.get_inheritable(kept), "nor has any other child"
    finally:
        os.close(kept)
        os.close(dropped)


@pytest.mark.parametrize("told", [True, False], ids=["/proc", "no /proc"])
def test_the_child_does_not_try_all_possible_descriptors(monkeypatch, told):
    """RLIMIT_NOFILE is 10^9 in many a container, and without close_range(2) each would cost a system call."""

    def refuse(*_arguments):
        raise OSError(errno.ETIME, "It takes too long")

    monkeypatch.setattr(os, "sysconf", lambda name: 10**9)
    monkeypatch.setattr(os, "closerange", refuse)
    if not told:
        monkeypatch.setattr(spawning, "_FOLDERS", ())
    dropped = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(dropped, True)
    listing = "import os, sys; print(*(n for n in range(99) if os.path.exists(f'/proc/self/fd/{n}')), file=sys.stderr)"
    try:
        assert said_by(listing) == "0 1 2"
    finally:
        os.close(dropped)


@pytest.mark.parametrize("users", [None, "1"])
def test_the_fault_handler_is_on_from_the_first_moment_and_not_left_to_what_the_child_starts(monkeypatch, users):
    monkeypatch.delenv("PYTHONFAULTHANDLER", raising=False)
    if users:
        monkeypatch.setenv("PYTHONFAULTHANDLER", users)
    code = """if True:
        import faulthandler, os, sys
        from gracehttp.worker.manifest import claim_channel
        enabled = faulthandler.is_enabled()
        claim_channel(os.environ)
        print(enabled, os.environ.get("PYTHONFAULTHANDLER"), file=sys.stderr)
    """
    assert said_by(code) == f"True {users}"


def test_the_child_starts_with_the_signals_of_the_supervisor_blocked_and_the_parent_hears_them():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    code = "import signal, sys; print(*sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())), file=sys.stderr)"
    assert said_by(code) == " ".join(map(str, sorted(map(int, SIGNALS.keys() | before))))
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_the_child_ignores_no_signal_that_the_interpreter_ignores():
    with Child("-c", "grep SigIgn /proc/self/status >&2", program="sh") as child:
        ignored = int(child.stderr.read().split()[-1], 16)
    assert not ignored & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1)


def test_what_is_in_the_way_is_found_behind_links(tmp_path, monkeypatch):
    private = tmp_path / "private"
    private.mkdir()
    (private / "python").write_text("")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to("../private/python")
    (tmp_path / "bin" / "python").symlink_to(tmp_path / "bin" / "python3")
    path = str(tmp_path / "bin" / "python")
    allowed = os.access

    def refuse(refused):
        monkeypatch.setattr(os, "access", lambda one, mode: one != str(refused) and allowed(one, mode))

    refuse(private)
    assert in_the_way(path) == f"{private} may not be entered"
    refuse(private / "python")
    assert in_the_way(path) == f"{private}/python may not be executed"
    refuse("")
    (private / "python").chmod(0o755)
    assert in_the_way(path) == ""
    assert in_the_way(str(tmp_path / "nothing")) == ""
    assert in_the_way(str(private)) == ""


@pytest.mark.parametrize("gone", ["folder", "interpreter"])
def test_what_can_not_be_executed_ends_and_says_why(tmp_path, monkeypatch, gone):
    if gone == "interpreter":
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with Child("-c", "", directory=tmp_path if gone == "interpreter" else tmp_path / "gone") as child:
        said = child.stderr.read().decode()
        assert child.wait() == CANNOT_RUN
    folder, more = (tmp_path, "") if gone == "interpreter" else (tmp_path / "gone", " (that folder is gone)")
    where = f"in {folder}: No such file or directory{more}"
    assert describe_exit(CANNOT_RUN, said) == f"could not run: {sys.executable} can't be executed {where}"
