"""How signals reach the supervisor, whatever the system is short of, and when they no longer do.

`gracehttp.wire.signals` tells what each one means, and `operator_requests` does it.

asyncio hears of a signal by a byte that the handler in C writes to a socket (`signal.set_wakeup_fd`). That write fails
if the socket is full (EAGAIN) or the kernel has no memory (ENOBUFS). The signal would be lost: a restart doesn't begin,
a dead worker is not replaced. The handler in Python runs all the same, at the latest when the wait of the loop is
interrupted (epoll_wait(2), EINTR).
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Final

from gracehttp.net.forks import restore_in_children
from gracehttp.wire.signals import SIGNALS

HEARD: Final = frozenset({*SIGNALS, signal.SIGCHLD})
"""All that a supervisor acts on: what people send, and that a child has ended."""
BYTE_SECONDS: Final = 0.05
"""How long to wait for the byte, which comes in the next turn of the loop, or never."""


def hear(loop: asyncio.AbstractEventLoop, number: signal.Signals, act: Callable[[], object]) -> None:
    """Call `act` in the loop each time that the signal comes, until the loop's `remove_signal_handler`. For the main
    thread. A process that is forked from now on answers the signal as this one did before."""
    unheard = False  # the handler has run, and nothing else yet
    byte_is_late = False  # `act` was called for a byte that has not come, and still may

    def by_byte() -> None:
        nonlocal unheard, byte_is_late
        # The kernel may run the handler in C in another thread, which may be held up before it writes the byte.
        acted_for, byte_is_late = byte_is_late and not unheard, False
        unheard = False
        if not acted_for:
            act()

    def by_handler(_number: int, _frame: object) -> None:
        # Runs before the byte is read: the flag that makes the interpreter call it is set before the byte is written.
        nonlocal unheard
        unheard = True
        loop.call_soon_threadsafe(loop.call_later, BYTE_SECONDS, without_byte)

    def without_byte() -> None:
        nonlocal unheard, byte_is_late
        if unheard:
            unheard, byte_is_late = False, True
            act()

    before = signal.getsignal(number)
    loop.add_signal_handler(number, by_byte)
    signal.signal(number, by_handler)
    signal.siginterrupt(number, False)  # as asyncio does: system calls of the script go on
    restore_in_children({number: before})


def ignore_from_now_on(loop: asyncio.AbstractEventLoop) -> None:
    """Ignore every signal, because the service has ended.

    While the loop closes and the interpreter ends, both put the defaults back in place of handlers. The default of most
    signals is to kill, so a second TERM, or a late HUP, would turn a graceful stop into a failure. A signal that is
    ignored stays ignored.

    SIGCHLD gets its default, which is to do nothing: if it were ignored, children of the script that goes on would
    leave no status (waitpid(2)). A handler that is still there runs on a loop that is closed, and raises.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    for number in HEARD:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
