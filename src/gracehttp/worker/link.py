"""The link of a worker to its supervisor: carries out what the supervisor orders, and reports what it must know."""

from __future__ import annotations

import asyncio
import faulthandler
import os
from collections.abc import Callable, Collection, Sequence
from typing import Final, NoReturn, Self

from gracehttp.errors import EXIT_FAILED, CertificateError
from gracehttp.events import ChannelLost, ConnectionsShed, Event, ReportsDelayed, SupervisorLost
from gracehttp.events.bus import EventBus
from gracehttp.hooks.registry import names_of
from gracehttp.hooks.runner import write
from gracehttp.net.time_slice import take_short_turns
from gracehttp.observe.stderr import flush_all
from gracehttp.observe.suspended import write_suspended_tasks
from gracehttp.wire import messages
from gracehttp.wire.channel import Channel, ChannelBroken, UnreadableMessage
from gracehttp.wire.channel_watch import ChannelWatch, Loss
from gracehttp.worker.certificates import Certificates, read_contents
from gracehttp.worker.error_counter import ErrorCounter
from gracehttp.worker.recycling import Usage
from gracehttp.worker.service import Service
from gracehttp.worker.successors import Successors

_OF_THE_CHANNEL: Final = (ChannelLost, ReportsDelayed, SupervisorLost)
"""Events that the channel can't tell, because they are about it."""
MOST_NAMED_FILES = 20


def _end_at_once() -> NoReturn:
    flush_all()
    os._exit(EXIT_FAILED)


class SupervisorLink:
    """Must be entered before the service starts, and left when it has drained.

    When the supervisor is gone, the worker finishes what is in flight, within `drain_timeout_seconds`, and ends. When
    only the channel is broken, the worker ends at once: no order to drain could reach it, and the supervisor starts
    another one.
    """

    def __init__(
        self,
        channel: Channel,
        service: Service,
        certificates: Certificates,
        usage: Usage,
        error_counter: ErrorCounter | None,
        drain_timeout_seconds: float,
        bus: EventBus,
        *,
        hooks: Collection[str] = (),
        end_at_once: Callable[[], object] = _end_at_once,
    ) -> None:
        """`hooks` are the names of the events that have hooks outside the workers. `end_at_once` ends this process, as
        a crash does."""
        self._loop = asyncio.get_running_loop()
        self._channel = channel
        self._service = service
        self._certificates = certificates
        self._usage = usage
        self._error_counter = error_counter
        self._drain_timeout_seconds = drain_timeout_seconds
        self._bus = bus
        self._hooks = frozenset(hooks)
        self._end_at_once = end_at_once

    def __enter__(self) -> Self:
        self._channel.set_blocking(False)
        self._service.on_stopped_accepting = lambda: self.report(messages.StoppedAccepting())
        self._usage.on_due_for_recycling = lambda reason: self.report(messages.DueForRecycling(reason))
        if self._error_counter is not None:
            self._error_counter.on_count = lambda responses, errors: self.report(messages.Answered(responses, errors))
        self._bus.subscribe(self._on_event)
        self._watch = ChannelWatch(
            self._channel,
            on_messages=self._carry_out_all,
            on_lost=self._lost,
            on_shortage=lambda reason: self._bus.publish(ReportsDelayed(os.getpid(), reason)),
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end_counting()
        self._bus.unsubscribe(self._on_event)
        self._watch.close()
        self._channel.set_blocking(True)

    def report(self, message: messages.Report) -> None:
        """Send `message`, as soon as the channel takes it."""
        self._watch.send(message)

    def report_stage(self, doing: str) -> None:
        """What begins now; if it hangs, the supervisor knows where."""
        self.report(messages.StageBegan(doing))

    def report_difference(self, files: Sequence[str], *, alone: bool) -> None:
        """These files were imported otherwise than by the first worker, if there are any. `alone` is as in
        `messages.CodeDiffers`."""
        if files:
            named = tuple(files[:MOST_NAMED_FILES])
            self.report(messages.CodeDiffers(named, len(files) - len(named), alone))

    def report_certificates(self, change: int = 0) -> None:
        """Those in use, or prepared for the `change` that was ordered; nothing if there are none."""
        if facts := self._certificates.facts:
            contents = self._certificates.write_contents()
            self.report(messages.CertificatesLoaded(change, self._certificates.digest, facts, contents))

    def _prepare_certificates(self, change: int, memory: int | None) -> None:
        contents = None
        if memory is not None:
            contents = read_contents(memory)
            os.close(memory)
        try:
            self._certificates.prepare(contents)
        except CertificateError as exc:
            self.report(messages.CertificatesRefused(change, exc.message))
        else:
            self.report_certificates(change)

    def _on_event(self, event: Event) -> None:
        """What a worker publishes, and the supervisor counts or passes on to hooks."""
        if isinstance(event, ConnectionsShed):
            self.report(messages.Shed(event.listener, event.connections))
        if not self._hooks.isdisjoint(names_of(event)) and not isinstance(event, _OF_THE_CHANNEL):
            self.report(messages.Told(write(event).decode()))

    def _receive(self) -> None:
        """A port that takes connections from its handover queue calls this first, each time."""
        self._watch.receive()

    def _carry_out_all(self, orders: Sequence[messages.Message]) -> None:
        for order in orders:
            self._carry_out(order)

    def _lost(self, loss: Loss) -> None:
        if isinstance(loss, (ChannelBroken, UnreadableMessage)):
            # The supervisor may live and think that this worker serves, or drains. It sees the end, as that of a crash.
            self._bus.publish(ChannelLost(os.getpid(), str(loss)))
            self._end_at_once()
            return
        self._bus.publish(SupervisorLost(os.getpid()))
        self._service.supervisor_lost(self._drain_timeout_seconds)

    def _carry_out(self, order: messages.Message) -> None:
        match order:
            case messages.Serve():
                take_short_turns()
                self._service.accept()
                self._begin_counting()
                self._service.take_over(self._receive)
            case messages.Pause(listeners, queues, tls_listeners):
                self._service.pause(Successors.of(listeners, queues, tls_listeners))
                self.report(messages.Paused())
            case messages.Drain(reason, timeout_seconds, listeners, queues, tls_listeners, others_accept):
                self._end_counting()
                successors = Successors.of(listeners, queues, tls_listeners)
                self._service.order_drain(reason, timeout_seconds, successors, others_accept)
            case messages.OthersStopped():
                self._service.others_stopped()
            case messages.Hold():
                self._service.hold()
            case messages.Resume():
                self._service.resume()
            case messages.PrepareCertificates(change, contents):
                self._prepare_certificates(change, contents)
            case messages.UseCertificates():
                self._certificates.use()
            case messages.UseTicketSecret(secret):
                self._certificates.use_ticket_secret(secret)
            case messages.AnnounceStop():
                self._service.announce_stop()
            case messages.Ping(for_health):
                self.report(messages.Alive(for_health))
            case messages.RequestDump(ends=False):
                write_suspended_tasks(self._loop)
                faulthandler.dump_traceback(2)
            case messages.RequestDump():
                self._loop.call_soon(os.abort)  # in the next turn: then this method is not on the stack that it writes
                write_suspended_tasks(self._loop)

    def _begin_counting(self) -> None:
        self._usage.begin()
        if self._error_counter is not None:
            self._error_counter.begin()

    def _end_counting(self) -> None:
        self._usage.end()
        if self._error_counter is not None:
            self._error_counter.end()
