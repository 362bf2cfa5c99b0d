"""The trial run of the next image: the same command line, up to `run()`, in a child process.

So what the supervisor is going to become has been seen to start, with the files that lie there now, and has read the
very state that it will be given. The trial serves nothing and touches nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import MutableMapping
from typing import NoReturn

from gracehttp.errors import StartError
from gracehttp.supervisor.fleet import TRACEBACK_SECONDS
from gracehttp.supervisor.processes.command_line import Launch
from gracehttp.supervisor.processes.early_stderr import beyond, last_error
from gracehttp.supervisor.processes.process import TRACEBACK_SIGNAL, describe_exit
from gracehttp.supervisor.processes.spawning import spawn
from gracehttp.supervisor.processes.workers import WorkerProcesses
from gracehttp.supervisor.succession.execve import anonymous_file, read_all
from gracehttp.supervisor.succession.state import FORMATS_READ, SupervisorState, decode, encode
from gracehttp.values import UnreadableValue, Value, from_plain, to_plain
from gracehttp.wire.json_lines import UnreadableLine, decode_line, encode_line
from gracehttp.wire.lineage import TRIAL_VARIABLE

MOST_ANSWER_BYTES = 4096  # a pipe takes as much at once (pipe(7), PIPE_BUF), so the child never waits for us


class TrialAnswer(Value):
    """What the child writes to the pipe: whether it could go on with the state, and if not, why."""

    ok: bool
    release: str = ""
    formats: tuple[int, ...] = FORMATS_READ
    reason: str = ""


class Verdict(Value):
    """Whether the next image can take over; if not, `reason` completes the sentence "the new image ..."."""

    ok: bool
    reason: str = ""
    details: str = ""
    unlogged: str = ""
    """What of the details has not been passed on to the log yet."""


# --- in the child ---


def answer_trial(environ: MutableMapping[str, str], *, release: str) -> None:
    """In a trial run: tell whether this image could go on with the state, and end the process here.

    Does nothing in a process that isn't one.
    """
    numbers = environ.pop(TRIAL_VARIABLE, None)
    if numbers is None:
        return
    state, answer = map(int, numbers.split(","))
    try:
        decode(read_all(state), release=release)
    except StartError as exc:
        _answer(answer, TrialAnswer(ok=False, release=release, reason=str(exc)))
    _answer(answer, TrialAnswer(ok=True, release=release))


def _answer(fd: int, answer: TrialAnswer) -> NoReturn:
    os.write(fd, encode_line(to_plain(answer))[:MOST_ANSWER_BYTES])
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(0)  # what the script does after run(), and threads that it has started, are no part of the trial


# --- in the supervisor ---


async def try_image(
    launch: Launch, state: SupervisorState, workers: WorkerProcesses, *, timeout_seconds: float
) -> Verdict:
    """Run the trial. What it says is passed on, as what workers say. Raises `OSError` when it can't be started."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()
    with contextlib.ExitStack() as at_the_end, contextlib.ExitStack() as once_started:
        answers, answer_end = os.pipe()
        at_the_end.callback(os.close, answers)
        once_started.callback(os.close, answer_end)
        os.set_blocking(answers, False)
        read_end, write_end = os.pipe()
        once_started.callback(os.close, write_end)
        stderr = workers.read_stderr(read_end)
        at_the_end.callback(stderr.close)
        state_file = once_started.enter_context(anonymous_file(encode(state)))
        environment = {TRIAL_VARIABLE: f"{state_file},{answer_end}"}
        pid = spawn(launch, environment, pass_fds=(state_file, answer_end), stderr=write_end)
        once_started.close()
        workers.children.watch(pid, lambda status: None if ended.done() else ended.set_result(status))
        try:
            in_time = await _ended_in_time(pid, ended, timeout_seconds)
        finally:
            if not ended.done():
                os.kill(pid, signal.SIGKILL)  # its answer is no longer wanted; `Children` reaps it
        if not in_time:
            said, held = stderr.finish()
            reason = f"did not reach run() within {timeout_seconds:g} s"
            return Verdict(ok=False, reason=reason, details=said, unlogged=held)
        return judge(_read_answer(answers), ended.result(), *stderr.finish())


async def _ended_in_time(pid: int, ended: asyncio.Future[int], timeout_seconds: float) -> bool:
    """Wait until the process has ended. If that takes too long, it has to write down where it hangs, and is killed."""
    in_time, _ = await asyncio.wait([ended], timeout=timeout_seconds)
    if in_time:
        return True
    os.kill(pid, TRACEBACK_SIGNAL)
    told, _ = await asyncio.wait([ended], timeout=TRACEBACK_SECONDS)
    if not told:
        os.kill(pid, signal.SIGKILL)
        await asyncio.wait([ended])
    return False


def judge(answer: bytes, status: int, said: str, held: str = "") -> Verdict:
    """The verdict on an image that answered `answer`, ended with the wait status `status`, and wrote `said`, of which
    the log has not got `held`."""
    if not answer:
        error = last_error(said)
        how = describe_exit(os.waitstatus_to_exitcode(status))
        reason = f"{how} before it reached run()" + (f": {error}" if error else "")
        return Verdict(ok=False, reason=reason, details=beyond(said, reason), unlogged=beyond(held, reason))
    try:
        told = from_plain(TrialAnswer, decode_line(answer))
    except (UnreadableLine, UnreadableValue):
        reason = f"gave an answer that can't be read, {answer[:80]!r}"
        return Verdict(ok=False, reason=reason, details=said, unlogged=held)
    if told.ok:
        return Verdict(ok=True)
    return Verdict(ok=False, reason=f"refuses: {told.reason}", details=said, unlogged=held)


def _read_answer(fd: int) -> bytes:
    try:
        return os.read(fd, MOST_ANSWER_BYTES)
    except BlockingIOError:  # a process that the script started has the other end, and the trial wrote nothing
        return b""
