"""From one image of the supervisor to the next, in the same process: `execve` with the state in an inherited file.

The PID stays, and with it the children, the pidfile's lock and the name of the control socket. Descriptors keep their
numbers (execve(2)), so the state names them by number.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, MutableMapping
from typing import NoReturn

from gracehttp.net import shared_page
from gracehttp.observe.stderr import flush_all
from gracehttp.supervisor.processes.command_line import Launch
from gracehttp.supervisor.signals import HEARD
from gracehttp.supervisor.succession.state import SupervisorState, UnreadableState, decode, encode
from gracehttp.values import descriptors_in
from gracehttp.wire.lineage import STATE_VARIABLE


def hold_back_signals() -> None:
    """Let them wait until the next image can act on them.

    The mask outlives execve, and so do signals that are pending (signal(7)). Handlers don't, and without one most of
    these signals would end the process.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)


def let_signals_come() -> None:
    """The opposite of `hold_back_signals`."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)


@contextlib.contextmanager
def anonymous_file(content: bytes) -> Iterator[int]:
    """A descriptor of a file without a name, to be read from its beginning."""
    fd = shared_page.anonymous_file("state")
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(content)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


def read_all(fd: int) -> bytes:
    """The content of an inherited file, which is closed. Raises `OSError`."""
    with open(fd, "rb") as file:
        return file.read()


def become(launch: Launch, state: SupervisorState) -> NoReturn:
    """Execute `launch` in this process, with `state`. Signals must be held back.

    Returns only by an `OSError`; then everything is as it was.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    state = SupervisorState(**{**state.fields(), "log_records_dropped": flush_all()})
    with contextlib.ExitStack() as undo:
        fd = undo.enter_context(anonymous_file(encode(state)))
        for inherited in [fd, *descriptors_in(state)]:
            os.set_inheritable(inherited, True)
            undo.callback(os.set_inheritable, inherited, False)
        before = os.open(".", os.O_RDONLY | os.O_CLOEXEC)  # by its name it may be gone, with an old release's folder
        undo.callback(os.close, before)
        os.chdir(launch.directory)
        undo.callback(os.chdir, before)
        environment = {**os.environ, **dict(launch.variables), STATE_VARIABLE: str(fd)}
        os.execve(launch.executable, launch.arguments, environment)  # noqa: S606  it started this process


def claim_state(environ: MutableMapping[str, str], *, release: str) -> SupervisorState | None:
    """What the image before left, or None if this process is no successor. `release` is ours.

    From then on signals are held back until `let_signals_come`, and nothing is inheritable any more.
    Raises `UnreadableState`.
    """
    number = environ.pop(STATE_VARIABLE, None)
    if number is None:
        return None
    try:
        state = decode(read_all(int(number)), release=release)
        for fd in descriptors_in(state):
            os.set_inheritable(fd, False)
    except (ValueError, OSError) as exc:
        raise UnreadableState(f"the state of the supervisor can't be read ({exc}).") from exc
    return state
