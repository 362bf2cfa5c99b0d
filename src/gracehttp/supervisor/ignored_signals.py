"""The end of the supervisor's signals (`gracehttp.wire.signals` tells what each means)."""

from __future__ import annotations

import asyncio
import signal

from gracehttp.wire.signals import SIGNALS


def ignore_from_now_on(loop: asyncio.AbstractEventLoop) -> None:
    """Ignore every signal, because the service has ended.

    While the loop closes and the interpreter ends, both put the defaults back in place of handlers, and the default of
    most signals is to kill: a second TERM, or a late HUP, would turn a graceful stop into a failure. A signal that is
    ignored stays ignored.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    for number in SIGNALS:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
