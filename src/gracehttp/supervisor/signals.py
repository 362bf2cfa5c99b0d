"""What each signal means. Handlers only translate; the supervisor's loop acts."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass

from gracehttp.supervisor.fleet import Input, RestartRequested, ScaleRequested, StopRequested


@dataclass(frozen=True, slots=True)
class ReplacementRequested:
    """Somebody wants another supervisor, and then a new generation. What is no matter of the fleet's until then."""


MEANING: dict[signal.Signals, Input | ReplacementRequested] = {
    signal.SIGHUP: RestartRequested(),
    signal.SIGUSR1: RestartRequested(),
    signal.SIGUSR2: ReplacementRequested(),
    signal.SIGTERM: StopRequested(),
    signal.SIGQUIT: StopRequested(),
    signal.SIGINT: StopRequested(),
    signal.SIGTTIN: ScaleRequested(+1),
    signal.SIGTTOU: ScaleRequested(-1),
}


def ignore_from_now_on(loop: asyncio.AbstractEventLoop) -> None:
    """The service has ended, and a signal means nothing any more.

    While the loop closes and the interpreter ends, both put the defaults back in place of handlers, and the default of
    most signals is to kill: a second TERM, or a late HUP, would make a failure of a graceful stop. What is ignored
    stays ignored.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, MEANING)
    for number in MEANING:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, MEANING)
