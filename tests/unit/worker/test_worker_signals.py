"""With which signals a worker begins."""

from __future__ import annotations

import signal
import subprocess
import sys

from deadlines import DEADLINE_SECONDS

PROGRAM = """
import signal
from gracehttp.worker.signals import leave_signals_to_the_supervisor
leave_signals_to_the_supervisor()
print(*sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
"""


def test_a_worker_that_starts_while_the_supervisor_holds_signals_back_gets_them():
    """The mask is inherited (sigprocmask(2)); with SIGCHLD blocked an application waits for its children in vain."""
    held_back = {signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held_back)
    try:
        child = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    out, _ = child.communicate(timeout=DEADLINE_SECONDS)
    assert child.returncode == 0
    assert out.split() == []
