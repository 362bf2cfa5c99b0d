"""A fork server: a process that has loaded what workers need, and forks them on the supervisor's orders.

There are two kinds: the template of a generation (`templates`) and the spare process (`spare`). Both hold no
connections, so losing one loses none. A worker lives on when the process that forked it is killed. The other side is
`worker.forking.fork_server`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Sequence

from gracehttp.events import Event
from gracehttp.supervisor.processes.command_line import Launch
from gracehttp.supervisor.processes.process import WorkerEnds, WorkerProcess, describe_exit
from gracehttp.values import Descriptor, Value
from gracehttp.wire.channel import Channel, ChannelBroken, ChannelRecord, UnreadableMessage
from gracehttp.wire.channel_watch import ChannelWatch, Loss
from gracehttp.wire.messages import Fork, Forked, Message, TemplateBegan

END_SECONDS = 2.0
"""How long the supervisor waits, at its own end, for fork servers that it killed."""


class StartReports(Value):
    """What to call when an ordered worker has started, with its PID, or failed to, with the reason."""

    started: Callable[[WorkerProcess, int], None]
    failed: Callable[[WorkerProcess, str], None]


class ForkServerFacts(Value):
    """What one is called in a sentence, and the events that tell of it: it has begun (its PID), it is lost (how it
    ended), its orders are delayed (why), it can't be one (why)."""

    name: str
    began: Callable[[int], Event]
    lost: Callable[[str], Event]
    delayed: Callable[[str], Event]
    unfit: Callable[[str], Event]


class _Ordered(Value):
    """A worker that was ordered, and not forked yet."""

    process: WorkerProcess
    ends: WorkerEnds
    reports: StartReports
    launch: Launch | None


class ForkServer:
    """Its PID, the channel to it, and the workers that are ordered from it."""

    def __init__(
        self,
        facts: ForkServerFacts,
        publish: Callable[[Event], None],
        *,
        channel: Channel,
        their_end: socket.socket | None,
        pid: int = 0,
        fork_seconds: float,
    ) -> None:
        """`their_end` is None if the process has it already, and `pid` 0 until it tells that itself. One that needs
        longer than `fork_seconds` for a fork hangs, and is killed."""
        self.pid = pid
        self.alive = True
        self.began = False
        """It has told that it can fork."""
        self.idle = asyncio.Event()
        """Set while no order is under way."""
        self.on_start: Callable[[], None] = lambda: None
        """Called once, when it has told that it has begun."""
        self._facts = facts
        self._fork_seconds = fork_seconds
        self._publish = publish
        self._loop = asyncio.get_running_loop()
        self._channel = channel
        self._their_end = their_end
        self._ordered: deque[_Ordered] = deque()
        self._deadline: asyncio.TimerHandle | None = None
        self._ended = False
        self.idle.set()
        self._watch = ChannelWatch(
            channel,
            on_messages=self._receive,
            on_lost=self._lost,
            on_shortage=lambda reason: publish(facts.delayed(reason)),
        )

    def carry(self) -> ChannelRecord:
        """Its channel. Must be called while it is idle."""
        return self._channel.carry()

    @property
    def their_end(self) -> Descriptor | None:
        """The end of the channel for a process that doesn't have it yet. It is closed here once that has begun."""
        return Descriptor(self._their_end.fileno()) if self._their_end is not None else None

    @property
    def expecting(self) -> bool:
        """Whether there may be a child whose PID isn't known yet: this process, or a worker."""
        return self.alive and (not self.pid or bool(self._ordered))

    def order(
        self, process: WorkerProcess, ends: WorkerEnds, reports: StartReports, launch: Launch | None = None
    ) -> None:
        """Have `process` forked, with `ends`, which are closed here when it has them. With `launch` it also takes the
        working directory and the variables of that."""
        self.idle.clear()
        self._ordered.append(_Ordered(process, ends, reports, launch))
        self._send_order()

    def end(self, reason: str = "its generation is gone") -> None:
        """Kill it: it has nothing to finish. One that has not reported yet reads the end of file instead."""
        self._ended = True
        self._abandon(reason)

    def reaped(self, status: int) -> None:
        """The process was reaped: from now on another process may have its PID."""
        self.pid = 0
        if self.alive:
            self._watch.receive()  # its last message may still lie there
        self._abandon(f"{self._facts.name} is gone")
        if not self._ended:
            self._publish(self._facts.lost(describe_exit(os.waitstatus_to_exitcode(status))))

    def _send_order(self) -> None:
        # One at a time: it can do no more, and descriptors under way count against RLIMIT_NOFILE (unix(7)).
        if self._deadline is not None or not self._ordered or not self.alive:
            return
        first = self._ordered[0]
        self._deadline = self._loop.call_later(
            self._fork_seconds, self._abandon, f"{self._facts.name} did not fork it within {self._fork_seconds:g} s"
        )
        order = Fork(first.process.number, Descriptor(first.ends.channel), Descriptor(first.ends.early_stderr))
        if first.launch is not None:
            order = Fork(order.worker, order.channel, order.stderr, first.launch.directory, first.launch.variables)
        self._watch.send(order)

    def _receive(self, received: Sequence[Message]) -> None:
        try:
            for message in received:
                self._on_message(message)
        except UnreadableMessage as exc:
            self._lost(exc)

    def _lost(self, loss: Loss) -> None:
        match loss:
            case UnreadableMessage():
                self._abandon(f"{self._facts.name} said what the supervisor can't read ({loss})")
            case ChannelBroken():
                self._abandon(f"the channel to {self._facts.name} broke ({loss})")
            case _:
                self._abandon(f"{self._facts.name} is gone")

    def _on_message(self, message: Message) -> None:
        match message:
            case TemplateBegan(0, reason):
                self.end(reason)
                self._publish(self._facts.unfit(reason))
            case TemplateBegan(pid):
                if self.began:
                    raise UnreadableMessage("it exists already")
                self.began = True
                if self._their_end is not None:
                    self._close_their_end()
                    self.pid = pid
                self._publish(self._facts.began(pid))
                self.on_start()
            case Forked(pid, reason):
                if self._deadline is None:
                    raise UnreadableMessage("it forked what was not ordered")
                self._settle(pid, reason)

    def _settle(self, pid: int, reason: str) -> None:
        """What became of the worker that was ordered first; a PID of 0 means that there is none, for `reason`."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        order = self._ordered.popleft()
        order.ends.close()
        if pid:
            order.reports.started(order.process, pid)
        else:
            order.reports.failed(order.process, reason)
        if not self._ordered:
            self.idle.set()
        self._send_order()

    def _abandon(self, reason: str) -> None:
        """Order nothing more from it, and kill it."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # a child that was not reaped yet: no other process has its PID
        if not self.alive:
            return
        self.alive = False
        self._watch.close()
        self._channel.close()
        self._close_their_end()
        while self._ordered:
            self._settle(0, reason)

    def _close_their_end(self) -> None:
        if self._their_end is not None:
            self._their_end.close()
            self._their_end = None
