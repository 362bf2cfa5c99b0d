"""What a signal does that comes when the service has ended and its process not yet."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest
from deadlines import DEADLINE_SECONDS

from gracehttp.supervisor.signals import HEARD

PROGRAM = """
import asyncio, os, signal, sys
from gracehttp.supervisor.signals import HEARD, hear, ignore_from_now_on

async def main():
    loop = asyncio.get_running_loop()
    for number in HEARD:
        hear(loop, number, lambda: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    os.kill(os.getpid(), int(sys.argv[1]))  # it is on its way while the end begins
    ignore_from_now_on(loop)
    os.kill(os.getpid(), int(sys.argv[1]))

asyncio.run(main())
os.kill(os.getpid(), int(sys.argv[1]))
"""


WHILE_THE_LOOP_CLOSES = """
import asyncio, os, sys
from gracehttp.supervisor.signals import hear, ignore_from_now_on

class Loop(asyncio.SelectorEventLoop):
    def _close_self_pipe(self):
        super()._close_self_pipe()  # it hears of signals by that, and takes the handlers away behind it
        os.kill(os.getpid(), int(sys.argv[1]))
        print("sent", flush=True)

loop = Loop()
hear(loop, int(sys.argv[1]), lambda: print("acted", flush=True))
ignore_from_now_on(loop)
loop.close()
"""
A_SCRIPT_THAT_GOES_ON = """
import asyncio, subprocess, sys
from gracehttp.supervisor.signals import hear, ignore_from_now_on

loop = asyncio.new_event_loop()
hear(loop, int(sys.argv[1]), lambda: None)
ignore_from_now_on(loop)
loop.close()
print(subprocess.run(["sh", "-c", "exit 3"]).returncode)
"""


def output_of(program, number):
    """What it prints; it must have ended well, and without a word on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", program, str(int(number))],
        env=os.environ,
        timeout=DEADLINE_SECONDS,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("number", sorted(HEARD), ids=lambda number: number.name)
def test_it_changes_nothing(number):
    assert output_of(PROGRAM, number) == ""
    assert output_of(WHILE_THE_LOOP_CLOSES, number) == "sent\n"


def test_a_script_that_goes_on_can_wait_for_its_children():
    assert output_of(A_SCRIPT_THAT_GOES_ON, signal.SIGCHLD) == "3\n"


def test_asyncio_alone_would_let_it_kill():
    """Why this is needed: the loop puts the default back when it closes."""

    async def main():
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: None)

    asyncio.run(main())
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
