"""The process that calls the hooks of the user, and the events on their way to it.

It runs the same command line as a worker does, so it has the code of the newest deploy. It is started when a generation
with hooks begins to serve, or before, if there is something to tell. It can crash, block or hang without any effect on
the service: events that it doesn't take are dropped, and that is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable

from gracehttp.events import Event, GenerationPromoted, HookEventsDropped, HookProcessEnded
from gracehttp.events.bus import EventBus
from gracehttp.hooks.registry import names_of
from gracehttp.hooks.runner import write
from gracehttp.supervisor.fleet.backoff import wait_before_restart
from gracehttp.supervisor.processes.children import Children
from gracehttp.supervisor.processes.command_line import CommandLine
from gracehttp.supervisor.processes.spawning import spawn
from gracehttp.system.credentials import Credentials
from gracehttp.system.readiness import Watch
from gracehttp.wire.lineage import HOOKS_VARIABLE

MOST_WAITING_BYTES = 1 << 20
END_SECONDS = 5.0
"""How long the hooks of the last events may take when the service has ended."""


class HookProcess:
    """A subscriber of the event bus. `wanted()` tells the names of the events that have hooks."""

    def __init__(
        self,
        command_line: CommandLine,
        children: Children,
        stderr: int,
        bus: EventBus,
        wanted: Callable[[], tuple[str, ...]],
        credentials: Credentials | None = None,
        waiting: str = "",
    ) -> None:
        """`waiting` is what `carry` gave in another image of this process."""
        self._loop = asyncio.get_running_loop()
        self._command_line = command_line
        self._children = children
        self._stderr = stderr
        self._bus = bus
        self._wanted = wanted
        self._credentials = credentials  # hooks are code of the user, as the application is
        self._waiting = bytearray(waiting.encode())
        self._begun = b""
        """The part of the first waiting line that the process has got already."""
        self._dropping = False
        self._socket: socket.socket | None = None
        self._watch: Watch | None = None
        self._leaving: dict[int, asyncio.Future[None]] = {}
        self._pid = 0
        self._taken: asyncio.Future[None] | None = None
        """Is done when the process has taken all that waits, or has ended."""
        self._failures = 0
        self._again: asyncio.TimerHandle | None = None

    def on_event(self, event: Event) -> None:
        if isinstance(event, GenerationPromoted) and not self._waiting:
            self._let_go()  # this event, and those that follow, go to a process with the new code
        wanted = self._wanted()
        if wanted and names_of(event) & set(wanted):
            self._queue(write(event))
        elif wanted and isinstance(event, GenerationPromoted) and self._socket is None and self._again is None:
            self._start()  # so that hooks that can't be loaded are told at the start, not when they are needed

    def pass_on(self, line: str) -> None:
        """An event that a worker has told, as a line."""
        if self._wanted():
            self._queue(line.encode())

    def carry(self) -> str:
        """What the process has not taken yet: it ends with this image, and calls no hook for a part of a line."""
        return (self._begun + self._waiting).decode()

    def go_on(self) -> None:
        """Let a process take what was carried."""
        self._start_if_needed()

    async def end(self) -> None:
        """Let it finish, for a short time; then end it by force."""
        if self._again is not None:
            self._again.cancel()
            self._start_if_needed()
        deadline = self._loop.time() + END_SECONDS
        if self._waiting and self._socket is not None:
            self._taken = self._loop.create_future()
            await asyncio.wait([self._taken], timeout=END_SECONDS)
        self._let_go()
        if self._leaving:
            await asyncio.wait(list(self._leaving.values()), timeout=max(0.0, deadline - self._loop.time()))
        for pid in self._leaving:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _queue(self, line: bytes) -> None:
        if len(self._waiting) + len(line) > MOST_WAITING_BYTES:
            if not self._dropping:
                self._dropping = True
                self._bus.publish(HookEventsDropped())
            return
        self._dropping = False
        self._waiting += line
        if self._socket is not None:
            self._flush()
        elif self._again is None:
            self._start()

    def _start(self) -> None:
        self._again = None
        try:
            ours, theirs = socket.socketpair()
        except OSError:
            self._failed("could not be started")
            return
        with theirs:
            environment = {HOOKS_VARIABLE: str(theirs.fileno())}
            try:
                pid = spawn(
                    self._command_line.launch(),
                    environment,
                    pass_fds=(theirs.fileno(),),
                    stderr=self._stderr,
                    credentials=self._credentials,
                )
            except OSError:
                ours.close()
                self._failed("could not be started")
                return
        ours.setblocking(False)
        self._socket, self._pid = ours, pid
        self._leaving[pid] = self._loop.create_future()
        self._children.watch(pid, lambda status: self._reaped(pid, status))
        self._flush()

    def _flush(self) -> None:
        assert self._socket is not None
        try:
            while self._waiting:
                sent = self._socket.send(self._waiting)
                self._begun = (self._begun + self._waiting[:sent]).rpartition(b"\n")[2]
                del self._waiting[:sent]
        except BlockingIOError:
            if self._watch is None:
                self._watch = Watch(self._loop, self._socket.fileno(), self._flush, for_writing=True)
            return
        except OSError:  # it has ended, and is reaped next; another one takes the rest
            pass
        self._stop_watching()
        if self._taken is not None and not self._taken.done():
            self._taken.set_result(None)

    def _let_go(self) -> None:
        self._stop_watching()
        self._waiting[:0] = self._begun
        self._begun = b""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._pid = 0

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def _reaped(self, pid: int, status: int) -> None:
        future = self._leaving.pop(pid)
        if not future.done():
            future.set_result(None)
        code = os.waitstatus_to_exitcode(status)
        how = f"ended with status {code}" if code >= 0 else f"was killed by signal {-code}"
        if pid == self._pid:
            self._let_go()
            self._failed(how)
        elif code:
            self._bus.publish(HookProcessEnded(how, None))
        else:
            self._failures = 0

    def _failed(self, how: str) -> None:
        self._failures += 1
        seconds = wait_before_restart(self._failures)
        self._again = self._loop.call_later(seconds, self._start_if_needed)
        self._bus.publish(HookProcessEnded(how, seconds))

    def _start_if_needed(self) -> None:
        self._again = None
        if self._waiting and self._socket is None:
            self._start()
