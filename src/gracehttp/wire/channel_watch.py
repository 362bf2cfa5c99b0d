"""A channel on an event loop: what is sent goes out as soon as the kernel takes it, what comes is passed on at once.

A full socket tells when it takes more; nothing tells when a shortage is over. So that is tried again after a while, and
told when it lasts. After `GIVE_UP_AFTER_SECONDS` the channel counts as broken: a worker that can't be told to serve or
to drain is of no use, and another one takes its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from gracehttp.system.readiness import Watch
from gracehttp.wire.channel import (
    GIVE_UP_AFTER_SECONDS,
    TELL_AFTER_SECONDS,
    Channel,
    ChannelBroken,
    ChannelClosed,
    Shortage,
    UnreadableMessage,
)
from gracehttp.wire.messages import Message
from gracehttp.wire.shortages import Patience

Loss = ChannelClosed | UnreadableMessage
"""Why nothing more comes or goes: the other side is gone, this end is broken, or what comes is no message."""


class ChannelWatch:
    """Watches a non-blocking `channel` until `close` or its end; the channel stays the caller's.

    `on_messages(messages)` gets what is received. `on_lost(loss)` is called once, when all that had come was received.
    `on_shortage(reason)` is called once for each shortage that lasts.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        on_messages: Callable[[Sequence[Message]], None],
        on_lost: Callable[[Loss], None],
        on_shortage: Callable[[str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel = channel
        self._on_messages = on_messages
        self._on_lost = on_lost
        self._on_shortage = on_shortage
        self._sending = Patience(TELL_AFTER_SECONDS, GIVE_UP_AFTER_SECONDS)
        self._receiving = Patience(TELL_AFTER_SECONDS, GIVE_UP_AFTER_SECONDS)
        self._send_again: asyncio.TimerHandle | None = None
        self._receive_again: asyncio.TimerHandle | None = None
        self._writing: Watch | None = None
        self._unsendable: ChannelBroken | None = None
        self._open = True
        self._reading = Watch(self._loop, channel.fileno(), self.receive)
        if channel.pending:
            self._flush()

    def send(self, message: Message) -> None:
        """Send `message`, now or as soon as possible; never, if the channel is lost. Descriptors in it stay the
        caller's."""
        if self._open and self._unsendable is None:
            self._try_to_send(lambda: self._channel.send(message))

    def receive(self) -> None:
        """Pass on what has come. The loop calls this; call it when that can't wait for the next turn."""
        if not self._open:
            return
        try:
            received = self._channel.receive()
        except Shortage as exc:
            self._receive_after(exc)
            return
        except (ChannelClosed, UnreadableMessage) as exc:
            self._lose(exc)
            return
        self._receiving.succeeded()
        if received:
            self._on_messages(received)
        elif self._unsendable is not None:
            self._lose(self._unsendable)

    def close(self) -> None:
        """Watch it no more."""
        if not self._open:
            return
        self._open = False
        for handle in (self._send_again, self._receive_again):
            if handle is not None:
                handle.cancel()
        self._reading.stop()
        self._watch_for_room(False)

    def _flush(self) -> None:
        self._send_again = None
        if self._open:
            self._try_to_send(self._channel.flush)

    def _try_to_send(self, send: Callable[[], None]) -> None:
        try:
            send()
        except Shortage as exc:
            self._watch_for_room(False)  # there is room, and the loop would call without end
            self._send_after(exc)
            return
        except ChannelBroken as exc:
            self._unsendable = exc
            self._watch_for_room(False)
            self._loop.call_soon(self._receive_the_rest)
            return
        except ChannelClosed:
            self._watch_for_room(False)  # what the other side said last comes before the end of file, which tells it
            return
        self._sending.succeeded()
        self._watch_for_room(self._channel.pending)

    def _receive_the_rest(self) -> None:
        """What has come already is passed on before the loss is told."""
        while self._open and self._receive_again is None:
            self.receive()

    def _watch_for_room(self, wanted: bool) -> None:
        if wanted and self._writing is None:
            self._writing = Watch(self._loop, self._channel.fileno(), self._flush, for_writing=True)
        elif not wanted and self._writing is not None:
            self._writing.stop()
            self._writing = None

    def _send_after(self, shortage: Shortage) -> None:
        if self._send_again is not None:
            return
        wait = self._wait(self._sending, shortage)
        if wait is not None:
            self._send_again = self._loop.call_later(wait, self._flush)

    def _receive_after(self, shortage: Shortage) -> None:
        if self._receive_again is not None:
            return
        wait = self._wait(self._receiving, shortage)
        if wait is not None:
            self._reading.stop()
            self._receive_again = self._loop.call_later(wait, self._look_again)

    def _look_again(self) -> None:
        self._receive_again = None
        self._reading = Watch(self._loop, self._channel.fileno(), self.receive)
        if self._unsendable is not None:
            self._receive_the_rest()

    def _wait(self, patience: Patience, shortage: Shortage) -> float | None:
        now = self._loop.time()
        wait = patience.failed(now)
        if wait is None:
            self._lose(ChannelBroken(str(shortage)))
        elif patience.must_be_told(now):
            self._on_shortage(str(shortage))
        return wait

    def _lose(self, loss: Loss) -> None:
        self.close()
        self._on_lost(loss)
