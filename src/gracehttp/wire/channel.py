"""The channel between the supervisor and one worker or template: messages over a stream socket, with descriptors.

A channel is a connected `AF_UNIX` `SOCK_STREAM` pair, made by the supervisor and inherited by the worker under the
number in the environment variable `GRACEHTTP_WORKER_CHANNEL`. End of file on it means that the other side is dead:
the kernel tells, no heartbeat has to. `wire.messages` has what is said.

    {"type": "refuse", "message": "...", "hint": "...", "descriptors": 0}

`descriptors` is how many open files come with the line (SCM_RIGHTS, unix(7)).

The kernel loses nothing on such a socket. So a message arrives, or waits here because the system is short of something
(`Shortage`), or the channel is of no use any more. Then the worker ends, one way or the other, and is replaced.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Self, TypeVar

from gracehttp.values import Descriptor, UnreadableValue, Value, descriptors_in
from gracehttp.wire import messages
from gracehttp.wire.json_lines import LineBuffer, UnreadableLine, decode_line, encode_line
from gracehttp.wire.messages import Message
from gracehttp.wire.shortages import GONE, SHORTAGES, Patience

TELL_AFTER_SECONDS = 0.75
"""How long a shortage may keep messages from being sent or received before that is told."""
GIVE_UP_AFTER_SECONDS = 10.0
"""How long a shortage may last before the channel is given up for broken."""

_READ_BYTES = 65536
_DESCRIPTORS_PER_MESSAGE = 16

_T = TypeVar("_T")


class ChannelClosed(Exception):
    """The other side closed the channel or died."""


class ChannelBroken(ChannelClosed):
    """This end is of no use any more, whether the other side lives or not."""


class Shortage(Exception):
    """The system is short of something. What was to be sent waits, what was to be received is still there."""


class UnreadableMessage(ValueError):
    """The other side is alive, but what it says is no message, or one that lacks something."""


class ChannelRecord(Value):
    """One end of a channel, to go on with in another process. `outgoing` has the bytes of each message that waits,
    and the numbers of the descriptors that go with it, which are carried by their owners."""

    socket: Descriptor
    incoming: bytes = b""
    outgoing: tuple[tuple[bytes, tuple[int, ...]], ...] = ()


class Channel:
    """One end of a channel. It owns its socket, and each received descriptor until `receive` returns its message.

    `send` never blocks on a non-blocking socket: what the kernel doesn't take is kept, `pending` tells so, and
    `flush` (to be called when the socket is writable) goes on.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._incoming = LineBuffer()
        self._received_fds: deque[int] = deque()
        self._outgoing: deque[tuple[bytes, tuple[int, ...]]] = deque()

    def carry(self) -> ChannelRecord:
        """To be called between any two bytes of messages, but not while descriptors of a message half read are here."""
        return ChannelRecord(
            socket=Descriptor(self._socket.fileno()),
            incoming=self._incoming.rest,
            outgoing=tuple(self._outgoing),
        )

    @classmethod
    def adopt(cls, record: ChannelRecord) -> Self:
        """Go on with what another process carried. Non-blocking, as it was there."""
        channel = cls(socket.socket(fileno=record.socket))
        channel.set_blocking(False)
        channel._incoming.rest = record.incoming
        channel._outgoing.extend(record.outgoing)
        return channel

    def fileno(self) -> int:
        return self._socket.fileno()

    def set_blocking(self, blocking: bool) -> None:
        self._socket.setblocking(blocking)

    @property
    def pending(self) -> bool:
        """True while something waits to be sent."""
        return bool(self._outgoing)

    def send(self, message: Message) -> None:
        """Send `message`. Its descriptors stay the caller's and must stay open until `pending` is false.

        Raises as `flush`; after a `Shortage` the message waits.
        """
        fds: list[int] = []
        plain = messages.write(message, fds)
        self._outgoing.append((encode_line({**plain, "descriptors": len(fds)}), tuple(fds)))
        self.flush()

    def flush(self) -> None:
        """Send what is pending, as far as the kernel takes it.

        Raises `ChannelClosed`, and on a non-blocking socket `Shortage`: call it again after a while. On a blocking one
        it waits for the end of the shortage, `GIVE_UP_AFTER_SECONDS` at most.
        """
        self._insist(self._flush)

    def receive(self) -> list[Message]:
        """All whole messages that are there; on a blocking socket, waits for the first bytes.

        Those of an unknown type are left out. The descriptors in a message are the caller's from then on.
        Raises `ChannelClosed` at the end of file, `UnreadableMessage` for what is no message, and `Shortage` as `flush`
        does.
        """
        try:
            data = self._insist(self._read)
        except BlockingIOError:
            return []
        if not data:
            raise ChannelClosed("end of file")
        received: list[Message] = []
        try:
            for line in self._incoming.feed(data):
                message = self._decode(line)
                if message is not None:
                    received.append(message)
        except UnreadableMessage:
            _close(descriptors_in(received))
            raise
        return received

    def close(self) -> None:
        """Close the socket, and the descriptors of messages that were never returned."""
        self._socket.close()
        _close(self._received_fds)
        self._received_fds.clear()

    @property
    def _blocks(self) -> bool:
        return self._socket.gettimeout() is None

    def _insist(self, act: Callable[[], _T]) -> _T:
        """Call `act`. On a blocking socket there is no loop that could call it again, so this waits out a shortage."""
        patience = Patience(TELL_AFTER_SECONDS, GIVE_UP_AFTER_SECONDS)
        while True:
            try:
                return act()
            except Shortage as exc:
                if not self._blocks:
                    raise
                wait = patience.failed(time.monotonic())
                if wait is None:
                    raise ChannelBroken(str(exc)) from exc
                time.sleep(wait)

    def _flush(self) -> None:
        while self._outgoing:
            data, fds = self._outgoing[0]
            try:
                sent = socket.send_fds(self._socket, [data], fds) if fds else self._socket.send(data)
            except OSError as exc:
                if isinstance(exc, BlockingIOError) and not self._blocks:
                    return
                meaning = _meaning_of(exc)
                if not isinstance(meaning, Shortage):
                    self._outgoing.clear()
                raise meaning from exc
            if sent == len(data):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = (data[sent:], ())  # the descriptors went with the first byte (unix(7))

    def _read(self) -> bytes:
        item = array.array("i")
        room = socket.CMSG_LEN(_DESCRIPTORS_PER_MESSAGE * item.itemsize)
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(_READ_BYTES, room)
        except OSError as exc:
            if isinstance(exc, BlockingIOError) and not self._blocks:
                raise
            raise _meaning_of(exc) from exc
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds = array.array("i")
                fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
                for fd in fds:
                    os.set_inheritable(fd, False)
                self._received_fds.extend(fds)
        if flags & socket.MSG_CTRUNC:
            # Descriptors are lost, so messages and descriptors no longer fit: nothing on this channel can be trusted.
            raise ChannelBroken("descriptors were lost: this process has too many open files")
        return data

    def _decode(self, line: bytes) -> Message | None:
        try:
            plain = decode_line(line)
        except UnreadableLine as exc:
            raise UnreadableMessage(f"{line[:100]!r} is no message") from exc
        count = plain.get("descriptors", 0)
        if not isinstance(count, int) or not 0 <= count <= len(self._received_fds):
            raise UnreadableMessage(f"{line[:100]!r} came without its {count!r} descriptors")
        came = [self._received_fds.popleft() for _ in range(count)]
        left = dict(enumerate(came))
        try:
            message = messages.read(plain, left)
        except UnreadableValue as exc:
            _close(came)
            raise UnreadableMessage(f"{line[:100]!r} is no message ({exc})") from exc
        _close(left.values())
        return message


def _meaning_of(exc: OSError) -> ChannelClosed | Shortage:
    """What an error of the socket means for the channel."""
    reason = exc.strerror or str(exc)
    if exc.errno in SHORTAGES:
        return Shortage(reason)
    return ChannelClosed(reason) if exc.errno in GONE else ChannelBroken(reason)


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def channel_pair() -> tuple[Channel, socket.socket]:
    """Our end, non-blocking, and the socket for the worker to inherit."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)
    return Channel(ours), theirs
