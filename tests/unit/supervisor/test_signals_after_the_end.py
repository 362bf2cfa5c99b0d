"""What a signal does that comes when the service has ended and its process not yet."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest
from deadlines import DEADLINE_SECONDS

from gracehttp.wire.signals import SIGNALS

PROGRAM = """
import asyncio, os, signal, sys
from gracehttp.supervisor.signals import ignore_from_now_on
from gracehttp.wire.signals import SIGNALS

async def main():
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, lambda: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    os.kill(os.getpid(), int(sys.argv[1]))  # it is on its way while the end begins
    ignore_from_now_on(loop)
    os.kill(os.getpid(), int(sys.argv[1]))

asyncio.run(main())
os.kill(os.getpid(), int(sys.argv[1]))
"""


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_it_changes_nothing(number):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(int(number))], env=os.environ, timeout=DEADLINE_SECONDS, check=False
    )
    assert done.returncode == 0


def test_asyncio_alone_would_let_it_kill():
    """Why this is needed: the loop puts the default back when it closes."""

    async def main():
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: None)

    asyncio.run(main())
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
