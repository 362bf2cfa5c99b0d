"""A client's connection as a stream of bytes: the contract, and the plain one on a socket.

A stream reads when the poller says so and hands what it has read to its `consumer`. It writes at once, or a moment
later together with others (`Poller.holding`); what the kernel doesn't take waits in a queue of its own, whose size is
known, until the kernel takes more. The descriptor is closed in the same moment in which the stream says that it is
closed, so a permit never waits for a turn of the loop.

How a stream ends (RFC 9112 section 9.6): a socket that is closed while its client still sends makes the kernel answer
with RST, and RST can destroy the response in the client's buffer before the client has read it. So `close(linger=True)`
shuts our half, and reads and discards until the client closes its own; `close(linger=False)` is for clients that send
nothing more; `abort` and `reset` lose what was not sent. `net.ending` has the patience that each of them takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from gracehttp.net import system_calls
from gracehttp.net.deadlines import Deadlines
from gracehttp.net.ending import LINGER_SECONDS, Ending
from gracehttp.net.failures import CLIENT_IS_GONE
from gracehttp.net.file_part import FilePart, FileUnreadable
from gracehttp.net.poller import BRIEF_BYTES, BROKEN, HALF_CLOSED, READABLE, WRITABLE, Pollable, Poller, tell
from gracehttp.net.progress import Progress
from gracehttp.net.tls13.state import TlsState

_MUCH_BYTES: Final = 16384
HIGH_WATER_BYTES: Final = 65536
"""When more than this waits for the kernel, the stream is not `writable` until all of it is gone."""
HOLD_BYTES: Final = 16384
"""As much of a stream as may wait for the end of a turn of the poller."""
BURST_BYTES: Final = 131072
"""How much of what waits is given to the kernel at once. It has room for megabytes of each client, and to copy them all
in one turn would let other clients wait for seconds. `Poller.credit` bounds it for all of them together."""
_PIECES_PER_CALL: Final = 64  # sendmsg(2) takes 1024 (IOV_MAX)
_NO_LINGER = struct.pack("ii", 1, 0)


class Consumer(Protocol):
    """What reads from a stream: a protocol. Called on the thread of the loop; must not raise."""

    def received(self, data: bytes) -> None:
        """Bytes of the client, at least one."""

    def ended(self) -> None:
        """The client has ended its half: nothing more will be received. Ours is still open."""

    def ended_unread(self) -> None:
        """The client has ended its half while reading is paused: what it sent before is still to be received, and
        `ended` comes behind that."""

    def writable_again(self) -> None:
        """The kernel has taken all that waited. Comes each time that something had to wait, and when what kept
        `Stream.state` from being told is over and no data comes with it."""


class Closed(Protocol):
    """The owner of a stream."""

    def stream_closed(self) -> None:
        """The descriptor is closed, whatever the reason. Comes once; the stream calls no other method any more."""


class StreamServices:
    """What all streams of a port share: where they are watched, and how long they wait.

    `stall`: how long a client may take nothing of what waits for it. `linger`: see `net.ending`. `on_failure` is told
    why a connection is closed that the system can't go on with (`net.failures`).
    """

    __slots__ = ("linger", "loop", "on_failure", "poller", "received_bytes", "sent_bytes", "stall")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        poller: Poller,
        stall_seconds: float,
        on_failure: Callable[[OSError], None] = lambda error: None,
    ) -> None:
        self.loop = loop
        self.poller = poller
        self.on_failure = on_failure
        self.stall: Deadlines = Deadlines(stall_seconds, loop)
        self.linger: Deadlines = Deadlines(LINGER_SECONDS, loop)
        self.received_bytes = 0
        """By all streams so far, as the kernel gave them: over TLS, encrypted."""
        self.sent_bytes = 0

    def close(self) -> None:
        """No stream is left."""
        self.stall.close()
        self.linger.close()


class Stream(Protocol):
    """One client's bytes, plain or TLS."""

    consumer: Consumer
    """Gets what is read; another one can take over at any time."""

    @property
    def writable(self) -> bool:
        """False while more waits for the kernel than memory should be spent on: write nothing more until
        `Consumer.writable_again`."""

    @property
    def unsent_bytes(self) -> int:
        """How many of the bytes that were written wait in this process. `Consumer.writable_again` follows when they
        wait for the kernel. It doesn't when they wait for the end of the poller's turn: to wait for them, `flush`
        first."""

    @property
    def reading(self) -> bool:
        """False while reading is paused, and after the client's half has ended."""

    @property
    def input_over(self) -> bool:
        """The client has ended its half."""

    @property
    def half_closed(self) -> bool:
        """As `input_over`, or known to come to that: see `Consumer.ended_unread`."""

    @property
    def mid_record(self) -> bool:
        """Whether a part of a TLS record has come, which can't be read before the rest of it comes."""

    @property
    def shut(self) -> bool:
        """Our half is over, or will be as soon as all that waits is sent: nothing can be written any more."""

    @property
    def closed(self) -> bool:
        """The descriptor is closed."""

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""

    @property
    def can_move(self) -> bool:
        """Whether another process could go on with this stream, given its descriptor (see `leave`)."""

    @property
    def takes_files(self) -> bool:
        """Whether `write_file` can be used."""

    def write(self, data: bytes) -> None:
        """Send. Never blocks, never raises; when the stream is shut or broken, `data` is dropped.

        While there is much to do, what is small is sent a moment later, with what others write (`Poller.holding`).
        """

    def write_last(self, data: bytes) -> None:
        """As `write`, for what `close` follows at once, in the same call of the protocol: the end of our half can go
        along with it."""

    def write_pieces(self, pieces: list[bytes]) -> None:
        """As `write` for all of them in order, without joining them first (sendmsg(2))."""

    def write_file(self, part: FilePart) -> None:
        """As `write` for a part of a file, which the stream closes. Only if `takes_files`.

        If the file can't be read to the end of the part, the stream is reset: the client can tell that bytes are
        missing.
        """

    def flush(self) -> None:
        """Send now what was to wait for the end of the poller's turn."""

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`: what the client sends waits in the kernel."""

    def resume_reading(self) -> None: ...

    def read_now(self) -> bool:
        """Read what is there without waiting for the poller; tells whether there was something, the end included."""

    def close(self, linger: bool) -> None:
        """Nothing more will be written: end our half after what was written, and close.

        With `linger` the client may still send: reads and discards until it closes its half too. Nothing reaches the
        consumer any more.
        """

    def abort(self) -> None:
        """Close at once. What waits in this process is lost; what is with the kernel still reaches the client."""

    def reset(self) -> None:
        """Close at once with RST, so that the client can't take it for an end (RFC 9112 section 8)."""

    def stay(self) -> None:
        """It will not move, whatever it carries from now on: nothing needs to be kept for that."""

    def state(self) -> TlsState | None:
        """Of a stream that is `secure`: what another process needs beside the descriptor. None: it can't go at this
        moment, or, after all, never: `can_move` is False from then on."""

    def leave(self) -> int:
        """Stop watching, and return the descriptor, which stays open. Only if `can_move`. Ends with `detach` or
        `come_back`. Raises `OSError`: then nothing has changed."""

    def detach(self) -> None:
        """Another process has the descriptor: close our copy of it. The connection goes on."""

    def come_back(self) -> None:
        """No other process took the descriptor: go on here."""


class SocketStream(Pollable):
    """What protocols look at again and again, in one place for both streams: compiled code needs no look-up for it.
    See `Stream`."""

    __slots__ = ("half_closed", "input_over", "writable")

    def __init__(self) -> None:
        self.writable = True
        self.input_over = False
        self.half_closed = False

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def write_last(self, data: bytes) -> None:
        raise NotImplementedError

    def close(self, linger: bool) -> None:
        raise NotImplementedError


class _ClosedStream:
    """In the place of consumer and owner of a stream that is closed."""

    def received(self, data: bytes) -> None:
        return

    def ended(self) -> None:
        return

    def ended_unread(self) -> None:
        return

    def writable_again(self) -> None:
        return

    def stream_closed(self) -> None:
        return


CLOSED_STREAM = _ClosedStream()
_ACCEPTED: Final = socket.SocketType
"""What an acceptor makes, whose descriptor is known without a look for others."""


class PlainStream(SocketStream):
    """A stream on a socket, which it owns."""

    __slots__ = (
        "_ending",
        "_events",
        "_fd",
        "_held",
        "_much",
        "_socket",
        "_stall",
        "_unsent",
        "_watched",
        "closed",
        "consumer",
        "owner",
        "services",
        "shut",
        "unsent_bytes",
    )

    can_move = True
    secure = False
    mid_record = False
    takes_files = True

    def __init__(
        self, sock: socket.SocketType, services: StreamServices, consumer: Consumer, owner: Closed, watched: bool = True
    ) -> None:
        """`sock` is connected and non-blocking. Raises `OSError` if the poller can't watch it. Unless it is `watched`
        from the start, `begin` must follow."""
        self.set_up(sock, services, consumer, owner, watched)

    def set_up(
        self, sock: socket.SocketType, services: StreamServices, consumer: Consumer, owner: Closed, watched: bool
    ) -> None:
        """Of a stream that was made by `__new__`: as `__init__`, and a call in C where it is compiled."""
        self.writable = True
        self.input_over = False
        self.half_closed = False
        self._socket = sock
        self._fd = sock.fileno() if type(sock) is _ACCEPTED else system_calls.descriptor_of(sock)
        self._much = False  # the last read was long, and so may be the next one
        self.services = services
        self.owner: Closed = owner
        self._unsent: deque[bytes | memoryview | FilePart] | None = None
        self._held: bytes | None = None  # until the end of the poller's turn
        self._ending: Ending | None = None
        self._stall: Progress | None = None  # while something waits, since the kernel was full
        self._events = READABLE
        self.consumer: Consumer = consumer
        self.unsent_bytes = 0
        self.closed = False
        self.shut = False
        self._watched = watched
        poller = services.poller
        if watched:
            poller.add(self._descriptor(), self, READABLE)
        else:
            poller.expect(self._descriptor(), self)

    def _descriptor(self) -> int:
        return self._fd if self._fd >= 0 else self._socket.fileno()

    # --- reading ---

    @property
    def reading(self) -> bool:
        return bool(self._events & READABLE)

    def ready(self, events: int) -> None:
        """See `Pollable`."""
        if events != READABLE:
            if events & WRITABLE and self._unsent is not None:
                self._send_waiting()
                if self.closed:
                    return
            if events & BROKEN and not self._events & READABLE:
                self._lose()
                return
            if events & self._events & HALF_CLOSED:
                self.half_closed = True
                self._watch(self._events & ~HALF_CLOSED)  # level-triggered: it would be told again and again
                if self._ending is None:
                    self.consumer.ended_unread()
                return
            if not events & (READABLE | BROKEN) or not self._events & READABLE:
                return
        try:
            data = system_calls.receive(self._socket, self._fd, self._much)
        except OSError as exc:
            self._tell(exc)
            self._lose()
            return
        if data is None:
            return
        self._much = len(data) > _MUCH_BYTES
        if data:
            self.services.received_bytes += len(data)
            if self._ending is None:
                self.consumer.received(data)
            else:
                self._ending.received(data)
        else:
            self._end_input()

    def failed(self) -> None:
        """See `Pollable`. The consumer has raised, so nothing would end this connection."""
        self.reset()

    def begin(self) -> None:
        """Read what has come already; be watched from then on, if that was not all. Raises `OSError` if the poller
        can't watch it."""
        tell(self, READABLE)
        if not self.closed:
            poller = self.services.poller
            poller.add(self._descriptor(), self, self._events)
            self._watched = True

    def read_now(self) -> bool:
        if self.closed or not self._events & READABLE:
            return False
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            pass  # `ready` comes to it as well
        tell(self, READABLE)
        return True

    def pause_reading(self) -> None:
        if self._ending is not None:
            return  # what comes is discarded
        # Whether the client is still there must be known also while nothing is read (see `Consumer.ended_unread`).
        watched = 0 if self.half_closed else HALF_CLOSED
        self._watch((self._events & ~READABLE) | watched)

    def resume_reading(self) -> None:
        if not self.input_over:
            self._read_on()

    def _read_on(self) -> None:
        self._watch((self._events & ~HALF_CLOSED) | READABLE)

    def _end_input(self) -> None:
        self.input_over = self.half_closed = True
        self._watch(self._events & ~READABLE)  # level-triggered: the end would be told again and again
        if self._ending is None:
            self.consumer.ended()
        else:
            self._ending.input_ended()

    # --- writing ---

    def write(self, data: bytes) -> None:
        if self._unsent is not None:
            self._keep((data,))
            return
        if self.shut:
            return
        size = len(data)
        if self._held is not None:
            if self.unsent_bytes + size <= HOLD_BYTES:
                self._held += data
                self.unsent_bytes += size
                return
            self.flush()
            if self._unsent is not None:
                self._keep((data,))
                return
        self._held = data
        self.unsent_bytes = size
        poller = self.services.poller
        if poller.holding and size <= HOLD_BYTES and type(data) is bytes:  # another type might change meanwhile
            poller.held.append(self)
            if not poller.turning:
                poller.send_soon()
        else:
            self.flush()

    def write_last(self, data: bytes) -> None:
        if self._held is None and self._unsent is None and len(data) <= HOLD_BYTES and not self.shut:
            self._held = data
            self.unsent_bytes = len(data)
        else:
            self.write(data)

    def flush(self, last: bool = False) -> None:
        """`last`: the end of our half follows at once, and goes along in the same segment."""
        data = self._held
        if data is None:
            return
        self._held = None
        self.unsent_bytes = 0
        services = self.services
        poller = services.poller
        size = len(data)
        if size > poller.credit or (poller.crowded and size > BRIEF_BYTES):
            self._send_some([data])
            return
        try:
            sent = system_calls.send(self._socket, self._fd, data, last)
        except OSError as exc:
            self._break(exc)
            return
        poller.credit -= sent
        services.sent_bytes += sent
        if sent < size:
            self._keep((memoryview(data)[sent:],), full=True)

    def write_pieces(self, pieces: list[bytes]) -> None:
        self.flush()
        if self._unsent is not None:
            self._keep(pieces)
            return
        if not (self.shut or self.closed):
            self._send_some(pieces)

    def _send_some(self, pieces: list[bytes]) -> None:
        """Send of `pieces` what may be sent in this turn, and keep the rest."""
        poller = self.services.poller
        sent = 0
        full = False
        if poller.credit > 0 and not (poller.crowded and sum(map(len, pieces)) > BRIEF_BYTES):
            now = _beginning(pieces, poller.credit)
            try:
                sent = self._socket.sendmsg(now)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as exc:
                self._break(exc)
                return
            poller.credit -= sent
            self.services.sent_bytes += sent
            full = sent < sum(map(len, now))
        for at, piece in enumerate(pieces):
            if sent < len(piece):
                self._keep((memoryview(piece)[sent:], *pieces[at + 1 :]), full=full)
                return
            sent -= len(piece)

    def write_file(self, part: FilePart) -> None:
        self.flush()
        if self.shut or self.closed:
            part.close()
            return
        full = False
        poller = self.services.poller
        if self._unsent is None and poller.credit > 0 and not (poller.crowded and len(part) > BRIEF_BYTES):
            try:
                sent = part.send(self._socket, BURST_BYTES)
                poller.credit -= sent
                self.services.sent_bytes += sent
            except (BlockingIOError, InterruptedError):
                full = True
            except OSError as exc:
                part.close()
                self._break(exc)
                return
        if part:
            self._keep((part,), full=full)
        else:
            part.close()

    def _keep(self, pieces: Iterable[bytes | memoryview | FilePart], *, full: bool = False) -> None:
        """Let the rest wait here: the kernel takes no more at the moment (`full`), or was given enough for a turn."""
        if self.shut or self.closed:
            return
        begins = self._unsent is None
        if self._unsent is None:
            self._unsent = deque()
        for piece in pieces:
            if piece:  # sendmsg(2) would take nothing of an empty one, again and again
                self._unsent.append(piece)
                self.unsent_bytes += len(piece)
        if begins:
            self._wait(full)
        if self.unsent_bytes > HIGH_WATER_BYTES and self.writable:
            self.writable = False
            self.services.stall.add(self)
        if full:
            self._stall = Progress(self._socket, self.unsent_bytes)

    def _wait(self, full: bool) -> None:
        """For the kernel to take more, if it is `full`, or else for this stream's turn."""
        if full:
            self._watch(self._events | WRITABLE)
        else:
            self._watch(self._events & ~WRITABLE)
            self.services.poller.line_up(self, self.unsent_bytes)

    def _send_waiting(self) -> None:
        unsent = self._unsent
        assert unsent is not None
        poller = self.services.poller
        if poller.credit <= 0:
            self._wait(False)
            return
        first = unsent[0]
        try:
            if isinstance(first, FilePart):
                offered = min(len(first), BURST_BYTES)
                sent = first.send(self._socket, offered)
            else:
                now = _beginning(unsent, BURST_BYTES)
                offered = sum(map(len, now))
                sent = self._socket.sendmsg(now)
        except (BlockingIOError, InterruptedError):
            self._wait(True)
            return
        except OSError as exc:
            self._tell(exc)
            self._lose_after(exc)
            return
        self.unsent_bytes -= sent
        self.services.sent_bytes += sent
        poller.credit -= sent
        full = sent < offered
        if self._stall is None and not self.writable and full:
            self._stall = Progress(self._socket, self.unsent_bytes)
            self.services.stall.add(self)
        if isinstance(first, FilePart):
            sent = 0
            if not first:
                first.close()
                unsent.popleft()
        while sent:
            piece = unsent[0]
            assert not isinstance(piece, FilePart)  # none was offered together with bytes
            if sent < len(piece):
                unsent[0] = memoryview(piece)[sent:]
                break
            sent -= len(piece)
            unsent.popleft()
        if unsent:
            self._wait(full)
        else:
            self._all_sent()

    def _all_sent(self) -> None:
        """The kernel has all that was written."""
        self._unsent = None
        self._watch(self._events & ~WRITABLE)
        self._stall_no_more()
        self.writable = True
        if self._ending is None:
            self.consumer.writable_again()
        else:
            self._ending.all_sent()

    # --- time ---

    def timed_out(self) -> None:
        """A deadline of `StreamServices` was reached."""
        if self._ending is not None:
            self._ending.timed_out()
        elif not self.writable:
            if self._stall is None:  # the kernel has had no room for another burst, and may have been full by chance
                self._stall = Progress(self._socket, self.unsent_bytes)
                self.services.stall.add(self)
            elif self._stall.went_on(self.unsent_bytes):
                self.services.stall.add(self)
            else:
                self.abort()

    def _stall_no_more(self) -> None:
        self._stall = None
        if not self.writable:
            self.services.stall.discard(self)

    # --- the end ---

    def close(self, linger: bool) -> None:
        self.close_until(linger, None)

    def close_until(self, linger: bool, client_ended: Callable[[bytes], bool] | None) -> None:
        """As `close`. `client_ended` tells whether bytes that are discarded say that the client has ended its half."""
        if self.closed or self._ending is not None:
            return
        self.flush(True)
        self._stall_no_more()
        self.shut = True
        linger = linger and not self.input_over
        if self._unsent is None:
            self.shut_our_half()
            if not linger:
                self._close()
                return
        self._ending = Ending(self, self.services, self._socket, linger=linger, client_ended=client_ended)
        # Discards what comes, also while something waits: a close with something unread would reset the connection.
        if not self.input_over and not self._events & READABLE:
            self._read_on()

    def shut_our_half(self) -> None:
        """FIN behind what was written (shutdown(2)).

        Also before a close: the client learns of a close(2) only when the last copy of the descriptor is gone, and a
        process that the application has forked has one. A shutdown acts on the socket itself.
        """
        self.flush(True)
        self.shut = True
        system_calls.shut(self._socket, self._fd)  # that the client is gone already (ENOTCONN) is no news

    def abort(self) -> None:
        if not self.closed:
            self.shut_our_half()
            self._close()

    def abort_soon(self) -> None:
        """As `abort`, in the next turn, because the caller is in the middle of a write; nothing is written any more."""
        self.shut = True
        self.writable = False  # as in `_break`
        self.services.loop.call_soon(self.abort)

    def reset(self) -> None:
        if not self.closed:
            self.flush()
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._close()

    def _break(self, error: OSError) -> None:
        """A write has failed, or the poller. Told in the next turn, because the caller is in the middle of it."""
        self._tell(error)
        self.shut = True
        self.writable = False  # so that the writer waits for that turn; one that never waits would never hear of it
        self.services.loop.call_soon(self._lose_after, error)

    def _tell(self, error: OSError) -> None:
        """See `net.failures`."""
        if error.errno not in CLIENT_IS_GONE:
            self.services.on_failure(error)

    def _lose(self) -> None:
        """The kernel says that the connection is over."""
        if not self.closed:
            self._close()

    def _lose_after(self, error: OSError) -> None:
        """As `_lose`. What is missing because of a file must not look whole to the client."""
        if isinstance(error, FileUnreadable):
            self.reset()
        else:
            self._lose()

    def _close(self) -> None:
        poller = self.services.poller
        if self._watched:
            poller.remove(self._descriptor())
        else:
            poller.forget(self._descriptor())
        self._close_descriptor()
        self._forget()

    def _close_descriptor(self) -> None:
        try:  # `contextlib.suppress` costs as much as a system call, for each connection
            self._socket.close()
        except OSError:  # it is released nevertheless (close(2))
            return

    def _forget(self) -> None:
        services = self.services
        self.closed = self.shut = True
        self._fd = -1
        self._events = 0
        if self._unsent is not None:
            for piece in self._unsent:
                if isinstance(piece, FilePart):
                    piece.close()
            self._unsent = None
        self._held = None
        self.unsent_bytes = 0
        self._stall_no_more()
        if self._ending is not None:
            self._ending = None
            services.linger.discard(self)
        owner = self.owner
        self.consumer = self.owner = CLOSED_STREAM  # so that no circle is left to the garbage collector
        owner.stream_closed()

    # --- going to another process ---

    def stay(self) -> None:
        """See `Stream`. It keeps nothing."""

    def state(self) -> None:
        """See `Stream`. All there is to know is in the kernel."""

    def leave(self) -> int:
        fd = self._socket.fileno()
        if not self._watched:
            raise OSError(errno.ENOENT, "not watched yet")
        self.services.poller.release(fd)
        return fd

    def detach(self) -> None:
        self._close_descriptor()
        self._forget()

    def come_back(self) -> None:
        try:
            self.services.poller.add(self._socket.fileno(), self, self._events)
        except OSError as exc:  # it would never be heard again
            self._tell(exc)
            self.shut_our_half()
            self.detach()

    # --- the poller ---

    def _watch(self, events: int) -> None:
        if events != self._events and not self.closed:
            self._events = events
            if not self._watched:
                return  # `begin` comes to it
            try:
                self.services.poller.change(self._socket.fileno(), events)
            except OSError as exc:
                self._break(exc)


def _beginning(pieces: Iterable[bytes | memoryview | FilePart], size: int) -> list[bytes | memoryview]:
    """The first `size` bytes of `pieces`, or fewer: no more pieces than one call should take, and none of a file."""
    taken: list[bytes | memoryview] = []
    for piece in pieces:
        if isinstance(piece, FilePart):
            break
        if len(piece) >= size:
            taken.append(piece if len(piece) == size else memoryview(piece)[:size])
            break
        taken.append(piece)
        size -= len(piece)
        if len(taken) == _PIECES_PER_CALL:
            break
    return taken
