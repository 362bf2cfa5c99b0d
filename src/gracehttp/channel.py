"""The control channel between the supervisor and one worker: JSON lines over a stream socket, with descriptors.

A channel is a connected `AF_UNIX` `SOCK_STREAM` pair, made by the supervisor and inherited by the worker under the
number in the environment variable `GRACEHTTP_WORKER_CHANNEL`. End of file on it means that the other side is dead:
the kernel tells, no heartbeat has to.

Old and new may be different releases, so the first message of the worker, `hello`, lists the versions that it
speaks, and the supervisor answers with one of them or with `refused`. Messages of version 1:

    worker      hello       versions, release, pid, settings, listeners, offers (what it can do: template, code)
    supervisor  listener    number, address, bound, limit, permits (shared or split), handover (true or false), queue
                            + socket [, free, owed, ledger] [, both ends of the handover queue]
    supervisor  template    (leave a template behind at the other end of this)    + channel
    supervisor  code        (tell your code; with a record: compare it with this)    [+ record]
    supervisor  welcome     version, generation, worker, slot, workers, tty    + stderr
    supervisor  refused     message, hint
    worker      code        (the files of its modules)    + record
    worker      stage       doing (what it begins now, on its way to be ready)
    worker      ready       (warm, standing by, nothing accepted yet)
    worker      failed      message, hint, details
    supervisor  serve       (start accepting, or go on after a pause)
    supervisor  pause       handover, queues (leave those to others, as in drain; keep ready)
    supervisor  drain       reason (restart or stop), timeout_seconds, handover (numbers of the listeners that go on),
                            queues (the handover queues that others take from)
    supervisor  hold        (nobody would take what is handed over: keep it and serve it)
    supervisor  go_on       (somebody takes it again)
    supervisor  ask         (are you there?)
    worker      here        (its event loop turns)
    worker      deaf        (accepts no more)
    worker      paused      (accepts nothing any more that others accept)
    worker      answered    responses, errors (so many more, while new code is on probation)
    worker      tired       reason (have it replaced)
    worker      shed        listener, connections (so many idle ones were closed to make room)

and on the channel of a template, which has the version that its first worker was welcomed with:

    template    template    pid     (it exists)
    supervisor  fork        worker    + channel, stderr     (both for the worker)
    template    forked      pid, reason     (0 and why not, or the PID)

A message of a type that the other side doesn't know is passed over.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from gracehttp.records import Descriptor, parse_json

CHANNEL_VARIABLE = "GRACEHTTP_WORKER_CHANNEL"
VERSIONS = (1,)

_READ_BYTES = 65536
_DESCRIPTORS_PER_MESSAGE = 16

Message = dict[str, Any]


class ChannelClosed(Exception):
    """The other side closed the channel or died."""


class UnreadableMessage(ValueError):
    """The other side is there, but speaks another language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRecord:
    """One end of a channel, to go on with in another process. `outgoing` has the bytes of each message that waits,
    and the numbers of the descriptors that go with it, which are carried by their owners."""

    socket: Descriptor
    incoming: bytes = b""
    outgoing: list[tuple[bytes, list[int]]] = field(default_factory=list)


class Channel:
    """One end of a control channel. It owns its socket, and the received descriptors until `take_descriptors`.

    `send` never blocks on a non-blocking socket: what the kernel doesn't take is kept, `pending` tells so, and
    `flush` (to be called when the socket is writable) goes on.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._incoming = bytearray()
        self._received_fds: deque[int] = deque()
        self._outgoing: deque[tuple[bytes, tuple[int, ...]]] = deque()

    def carry(self) -> ChannelRecord:
        """Between two bytes of a message too; but not with descriptors that were received and that nobody took."""
        return ChannelRecord(
            socket=Descriptor(self._socket.fileno()),
            incoming=bytes(self._incoming),
            outgoing=[(data, list(fds)) for data, fds in self._outgoing],
        )

    @classmethod
    def adopt(cls, record: ChannelRecord) -> Self:
        """Go on with what another process carried. Non-blocking, as it was there."""
        channel = cls(socket.socket(fileno=record.socket))
        channel.set_blocking(False)
        channel._incoming += record.incoming
        channel._outgoing.extend((data, tuple(fds)) for data, fds in record.outgoing)
        return channel

    def fileno(self) -> int:
        return self._socket.fileno()

    def set_blocking(self, blocking: bool) -> None:
        self._socket.setblocking(blocking)

    @property
    def pending(self) -> bool:
        """True while something waits to be sent."""
        return bool(self._outgoing)

    def send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Send `message` with `fds`, which stay the caller's and must stay open until `pending` is false.

        Raises `ChannelClosed` when the other side is gone.
        """
        line = json.dumps({**message, "descriptors": len(fds)}, separators=(",", ":")).encode() + b"\n"
        self._outgoing.append((line, tuple(fds)))
        self.flush()

    def flush(self) -> None:
        """Send what is pending, as far as the kernel takes it. Raises `ChannelClosed`."""
        while self._outgoing:
            data, fds = self._outgoing[0]
            try:
                sent = socket.send_fds(self._socket, [data], fds) if fds else self._socket.send(data)
            except BlockingIOError:
                return
            except OSError as exc:
                self._outgoing.clear()
                raise ChannelClosed(str(exc)) from exc
            if sent == len(data):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = (data[sent:], ())  # the descriptors went with the first byte (unix(7))

    def receive(self) -> list[Message]:
        """All whole messages that are there; on a blocking socket, waits for the first bytes.

        A message that came with descriptors has them under `"fds"`: they are the caller's from then on.
        Raises `ChannelClosed` at the end of file, `UnreadableMessage` for what is no message.
        """
        try:
            data = self._read()
        except BlockingIOError:
            return []
        except ConnectionError as exc:
            raise ChannelClosed(str(exc)) from exc
        if not data:
            raise ChannelClosed("end of file")
        self._incoming += data
        *lines, rest = bytes(self._incoming).split(b"\n")
        self._incoming = bytearray(rest)
        return [self._decode(line) for line in lines]

    def close(self) -> None:
        """Close the socket and whatever descriptors nobody took."""
        self._socket.close()
        while self._received_fds:
            with contextlib.suppress(OSError):
                os.close(self._received_fds.popleft())

    def _read(self) -> bytes:
        item = array.array("i")
        room = socket.CMSG_LEN(_DESCRIPTORS_PER_MESSAGE * item.itemsize)
        data, ancillary, flags, _ = self._socket.recvmsg(_READ_BYTES, room)
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds = array.array("i")
                fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
                for fd in fds:
                    os.set_inheritable(fd, False)
                self._received_fds.extend(fds)
        if flags & socket.MSG_CTRUNC:
            # Descriptors are lost, so messages and descriptors no longer fit: nothing on this channel can be trusted.
            raise ChannelClosed("descriptors were lost: this process has too many open files")
        return data

    def _decode(self, line: bytes) -> Message:
        try:
            message = parse_json(line)
        except ValueError as exc:
            raise UnreadableMessage(f"{line[:100]!r} is no message") from exc
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise UnreadableMessage(f"{line[:100]!r} is no message")
        count = message.pop("descriptors", 0)
        if not isinstance(count, int) or not 0 <= count <= len(self._received_fds):
            raise UnreadableMessage(f"{message['type']!r} came without its {count!r} descriptors")
        if count:
            message["fds"] = [self._received_fds.popleft() for _ in range(count)]
        return message


def channel_pair() -> tuple[Channel, socket.socket]:
    """Our end, non-blocking, and the socket for the worker to inherit."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)
    return Channel(ours), theirs
