"""Running a command line in a child process, without waiting until the child runs it.

`subprocess` waits until the child has called `execve`, in vfork(2) or by reading from a pipe. That wait has no
deadline. A child that is stopped (SIGSTOP) just then, or an interpreter on a file system that hangs, would hold up the
supervisor: every signal, and every other restart (promise 6). So this forks and goes on. A hang shows as a missed ready
timeout; a failed exec as an exit, with the reason on stderr.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import warnings
from collections.abc import Collection, Iterable, Mapping
from typing import NoReturn

from gracehttp.net.forks import forking_one_of_ours
from gracehttp.supervisor.processes.command_line import Launch
from gracehttp.supervisor.processes.debugger import is_attached, spawn_debugged
from gracehttp.supervisor.processes.early_stderr import NOT_EXECUTED
from gracehttp.supervisor.processes.shebang import interpreter_of
from gracehttp.system.credentials import Credentials
from gracehttp.wire.lineage import FAULT_HANDLER_VALUE, FAULT_HANDLER_VARIABLE
from gracehttp.wire.signals import SIGNALS

CANNOT_RUN = 127
"""The exit status of a child that could not run its command line, as a shell has it."""
OF_THE_SUPERVISOR = frozenset(
    {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE"}
)
"""Variables of sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3)."""
_FOLDERS = ("/proc/self/fd", "/dev/fd")
"""Where a system tells which descriptors a process has (proc_pid_fd(5)), also one without Linux's /proc."""
_MOST_LINKS = 40
"""As many as the kernel follows (path_resolution(7))."""
_MOST_DESCRIPTORS = 1 << 16
"""How many are tried where the system doesn't tell which are open."""


def spawn(
    launch: Launch,
    environment: Mapping[str, str],
    *,
    pass_fds: Collection[int],
    stderr: int,
    credentials: Credentials | None = None,
) -> int:
    """Run a command line in a child process, with `environment` added to ours; returns its PID at once.

    With `credentials` the child assumes them before anything of the command line runs.

    What a service manager has told this process of itself is left out: a program of the application must not answer it.

    Raises `OSError` if there can be no other process. The caller waits for the child (see `reap`).

    The child starts with `SIGNALS` blocked, so that one sent to the whole process group (Ctrl+C in a terminal) ends no
    worker that is still starting. The worker unblocks them once it ignores them.
    """
    account = dict(credentials.variables) if credentials is not None else {}
    variables = {
        FAULT_HANDLER_VARIABLE: FAULT_HANDLER_VALUE,
        **{name: value for name, value in os.environ.items() if name not in OF_THE_SUPERVISOR},
        **dict(launch.variables),
        **account,
        **environment,
    }
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        if is_attached() and credentials is None:
            return spawn_debugged(
                launch.arguments,
                executable=launch.executable,
                directory=launch.directory,
                variables=variables,
                pass_fds=pass_fds,
                stderr=stderr,
            )
        with warnings.catch_warnings(), forking_one_of_ours():
            # Python 3.12 warns of a fork when a script of the user has threads. This child takes none of their locks.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            _become(launch, variables, pass_fds, stderr, credentials)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _become(
    launch: Launch,
    variables: Mapping[str, str],
    pass_fds: Collection[int],
    stderr: int,
    credentials: Credentials | None,
) -> NoReturn:
    """Be the command line, with `stderr` as its stderr, the standard streams and `pass_fds`, and nothing else."""
    try:
        os.dup2(stderr, 2)
        _close_all_but(pass_fds)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # the interpreter ignores them, and that would outlive execve
            signal.signal(number, signal.SIG_DFL)
        if credentials is not None:
            credentials.assume()  # before chdir: what this user may not enter must not look like an empty folder
        os.chdir(launch.directory)
        os.execve(launch.executable, launch.arguments, variables)  # noqa: S606  it started this process
    except OSError as exc:
        why = _why_not(launch, credentials, exc)
        os.write(2, f"gracehttp: error: {why}\n".encode("utf-8", "backslashreplace"))
    finally:
        os._exit(CANNOT_RUN)


def _why_not(launch: Launch, credentials: Credentials | None, exc: OSError) -> str:
    who = f" as {credentials.name}" if credentials is not None else ""
    sentence = f"{launch.executable}{NOT_EXECUTED}{launch.directory}{who}: {exc.strerror}"
    if exc.errno == errno.EACCES:
        needed = (launch.directory, launch.executable, interpreter_of(launch.executable))
        obstacle = next(filter(None, map(in_the_way, filter(None, needed))), "")
        advice = "use an interpreter and a folder that this user can reach"
        return f"{obstacle}: {sentence}; {advice}" if obstacle else sentence
    if exc.errno == errno.ENOENT and not os.path.isdir(launch.directory):
        return f"{sentence} (that folder is gone)"
    if exc.errno != errno.ENOENT or not os.path.exists(launch.executable):
        return sentence
    interpreter = interpreter_of(launch.executable)  # the kernel doesn't tell whether that is what it misses
    return f"{sentence} (its first line names {interpreter})" if interpreter else sentence


def in_the_way(path: str) -> str:
    """Which folder on the way to `path`, links followed, this process may not enter, or what it may not execute
    (path_resolution(7)); "" if nothing is in the way."""
    current, links = "/", 0
    parts = path.split("/")[::-1]
    while parts:
        part = parts.pop()
        if not os.access(current, os.X_OK):
            return f"{current} may not be entered"
        following = os.path.normpath(os.path.join(current, part))
        if os.path.islink(following) and links < _MOST_LINKS:
            links += 1
            target = os.readlink(following)
            current = "/" if target.startswith("/") else current
            parts += target.split("/")[::-1]
        else:
            current = following
    if not os.path.exists(current) or os.access(current, os.X_OK):
        return ""
    return f"{current} may not be {'entered' if os.path.isdir(current) else 'executed'}"


def _close_all_but(kept: Collection[int]) -> None:
    for fd in kept:
        os.set_inheritable(fd, True)
    for fd in _open_descriptors():
        if fd > 2 and fd not in kept:
            with contextlib.suppress(OSError):  # with that one the folder was read
                os.close(fd)


def _open_descriptors() -> Iterable[int]:
    """The descriptors of this process, and maybe some that aren't open.

    Not all possible ones: RLIMIT_NOFILE is 10^9 in many a container, and where close_range(2) is missing (Linux 5.8,
    older container runtimes) each costs a system call.
    """
    for folder in _FOLDERS:
        with contextlib.suppress(OSError):
            return [int(name) for name in os.listdir(folder)]
    return range(min(os.sysconf("SC_OPEN_MAX"), _MOST_DESCRIPTORS))
