"""The signals of a worker: it leaves them to its supervisor, until its process has ended."""

from __future__ import annotations

import signal
from types import FrameType

from gracehttp.net.forks import restore_in_children
from gracehttp.wire.signals import SIGNALS


def leave_signals_to_the_supervisor() -> None:
    """Signals are for the supervisor, also those that a terminal sends to the whole process group.

    A handler that does nothing, rather than SIG_IGN: the programs that the application starts get the defaults back,
    and so do the processes that it forks.
    """
    before = {number: signal.signal(number, _do_nothing) for number in SIGNALS}
    restore_in_children(before)
    # SIGCHLD too: a worker may start while the supervisor holds it back, in the middle of replacing itself.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD, *SIGNALS})


def ignore_signals_to_the_end() -> None:
    """The interpreter puts the defaults back in place of our handlers while it ends, and the default of SIGTTIN stops
    the process. What is ignored it leaves ignored."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    return
