"""A client's connection as the worker handles it, and what a protocol owes it, whatever the protocol is.

`Connection` joins three things: a stream (bytes), a protocol (what they mean), and the terms on which the worker wants
to keep it. A drain changes the terms; the protocol says what that means on its wire (`WireProtocol.last_call`).
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from gracehttp.http.exchange import ExchangeObserver
from gracehttp.http.forwarded import Adjust
from gracehttp.http.handler import Handler
from gracehttp.http.server_fields import ServerLines
from gracehttp.http.settings import HttpSettings
from gracehttp.net.deadlines import Deadlines, Place
from gracehttp.net.stream import Consumer, Stream
from gracehttp.net.tls_session import TlsSession
from gracehttp.wire.handover import Carried, CarriedTls, Proxied


class Terms(enum.Enum):
    """On which terms a worker keeps a connection."""

    STAY = "stay"
    HAND_OVER = "hand over"
    """It goes to another process as soon as it is between two messages."""
    LAST_RESPONSE = "last response"
    """The client is told that the next response, or whatever its protocol has instead, is the last one."""
    SOON = "soon"
    """As `LAST_RESPONSE`, and when it is at rest it is closed a moment later."""


_TERMS: Final = (Terms.STAY, Terms.HAND_OVER, Terms.LAST_RESPONSE, Terms.SOON)
_STAY: Final = 0
_LEAVING: Final = (1, 3)


class Pace(NamedTuple):
    """How the closing of the connections of one kind that are at rest is spread over a drain.

    After a restart they are closed evenly while between `first_left` and `last_left` of the drain's time is left. So
    their clients don't come back all at once, and one that was sending is still answered. At a stop each has
    `grace_seconds` from the time at which it came to rest, in which a message that is on its way still arrives, and the
    closings are spread over `stop_spread_seconds`.
    """

    first_left: float = 0.25
    last_left: float = 0.05
    grace_seconds: float = 1.0
    stop_spread_seconds: float = 0.0
    any_time: bool = False
    """They can be ended with a word of their protocol at any moment, not only at rest, and their clients come back at
    once: after a restart, too, the closings begin when the grace is over, counted from the drain's begin."""
    per_second: float | None = None
    """So many of them are closed in a second, if the time suffices for all of them; None: they take all of the time."""


class InFlight(NamedTuple):
    """Something that a protocol is at, for logs: `GET /slow` and since when, in seconds."""

    what: str
    seconds: float | None

    def __str__(self) -> str:
        return self.what if self.seconds is None else f"{self.what} for {self.seconds:.1f} s"


NEW = Carried()


class Ends:
    """What is known of both ends of a connection: one object for all connections that have it in common.

    `host` is the client's, None on a Unix socket, `server` the address to which it has connected. The head of each
    request is given to `adjust` before anything else sees it (`http.forwarded`). `proxied` is what a proxy has said of
    the connection, by the PROXY protocol.
    """

    __slots__ = ("adjust", "host", "proxied", "server")

    def __init__(
        self,
        host: str | None,
        server: tuple[str, int | None] | None,
        adjust: Adjust | None = None,
        proxied: Proxied | None = None,
    ) -> None:
        self.host = host
        self.server = server
        self.adjust = adjust
        self.proxied = proxied


class Parcel(NamedTuple):
    """A connection on its way to another process. Its sender still owns `descriptor`."""

    descriptor: int
    carried: Carried


class WireProtocol(Consumer, Protocol):
    """What a connection speaks. Reads from the connection's stream; see `Consumer`."""

    can_move: bool
    """Whether another process could go on with it between two messages."""
    connection: Connection

    @property
    def pace(self) -> Pace:
        """At which pace a drain ends such connections. It may change: `ConnectionOwner.connection_speaks` tells."""

    @property
    def grace_until(self) -> float:
        """Until then, by the loop's clock, a drain leaves it alone as long as it has time for that."""

    @property
    def at_rest(self) -> bool:
        """Whether it is between two messages: nothing is in flight, and not one byte of a next message was read."""

    @property
    def idle_since(self) -> float | None:
        """Since when, by the loop's clock, it waits for the client's next message; None if it doesn't."""

    def last_call(self, terms: Terms) -> None:
        """The worker's terms have changed; `STAY` takes the others back.

        HTTP/1.1 says `Connection: close` with the next response, or stops before the next request if the connection is
        to be handed over. Call `Connection.rested` when it comes to rest from now on.
        """

    def close_at_rest(self, *, linger: bool) -> None:
        """End the connection, as politely as the protocol can, now that it is at rest."""

    def carried(self) -> Carried | None:
        """What another process needs to go on; None if it can't, or if something is in flight."""

    def in_flight(self) -> Iterable[InFlight]:
        """For logs and status: at most one for HTTP/1.1, many for a multiplexed protocol."""

    def timed_out(self) -> None:
        """A deadline that the protocol has set was reached."""

    def lost(self) -> None:
        """The stream is closed, whatever the reason, or another protocol has taken over. Comes once; the protocol must
        not use the connection any more."""


MakeProtocol = Callable[["Connection", Carried], WireProtocol]
"""Makes the protocol of a connection, given what came along with it except its bytes (see `Connection.switch`)."""


class ConnectionOwner(ExchangeObserver, Protocol):
    """The worker, as its connections see it. Called on the loop's thread; must not raise."""

    def connection_speaks(self, connection: Connection) -> None:
        """The connection has a protocol: its first one, or another one. Tell it the worker's terms."""

    def connection_stays(self, connection: Connection) -> None:
        """It was to be handed over, and can't be: tell it the worker's other terms."""

    def connection_rested(self, connection: Connection) -> None:
        """The connection is between two messages and all that was written is with the kernel, while the terms are
        `HAND_OVER` or `SOON`."""

    def connection_closed(self, connection: Connection) -> None:
        """The descriptor is closed. Exactly once for each connection."""


class ServerContext:
    """What all connections of a port share. The protocols' deadlines: see `HttpSettings`."""

    __slots__ = (
        "_others",
        "adjusts_unforwarded",
        "application",
        "body",
        "handshake",
        "head",
        "idle",
        "introduction",
        "loop",
        "max_header_size_bytes",
        "others_accept",
        "owner",
        "server_lines",
        "settings",
    )

    def __init__(
        self,
        application: Handler,
        settings: HttpSettings,
        owner: ConnectionOwner,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.application = application
        self.settings = settings
        self.max_header_size_bytes = settings.max_header_size_bytes
        self.owner = owner
        self.loop = loop
        self.idle: Deadlines = Deadlines(settings.keep_alive_timeout_seconds, loop)
        self.head: Deadlines = Deadlines(settings.header_timeout_seconds, loop)
        self.body: Deadlines = Deadlines(settings.body_timeout_seconds, loop)
        self.handshake: Deadlines = Deadlines(settings.header_timeout_seconds, loop)
        self.introduction: Deadlines = Deadlines(settings.header_timeout_seconds, loop)
        self.server_lines = ServerLines(
            server=settings.server_header, date=settings.date_header, more=settings.response_fields
        )
        self.adjusts_unforwarded = True
        """Whether `Connection.adjust` has something to do with a head, too, that is `RequestHead.unforwarded`."""
        self.others_accept = False
        """Other workers that drain may accept still: a client that is told now that its connection ends might come to
        one of them."""
        self._others: dict[str, Deadlines] = {}

    def deadlines(self, name: str, seconds: float) -> Deadlines:
        """Those that a protocol has for itself under this name; they are made at the first call, with `seconds`."""
        found = self._others.get(name)
        if found is None:
            found = self._others[name] = Deadlines(seconds, self.loop)
        return found

    def close(self) -> None:
        """No connection is left."""
        self.idle.close()
        self.head.close()
        self.body.close()
        self.handshake.close()
        self.introduction.close()
        for others in self._others.values():
            others.close()


class Connection(Place):
    """One client's connection. All methods are for the thread of the loop.

    For its protocol it waits in one of the `Deadlines`, or in none.
    """

    __slots__ = (
        "_moved",
        "_terms",
        "context",
        "ends",
        "port",
        "protocol",
        "stream",
        "tls",
    )

    stream: Stream
    """Set by `begin`."""

    def __init__(
        self,
        context: ServerContext,
        ends: Ends,
        port: int = 0,
    ) -> None:
        """`port` is the client's."""
        Place.__init__(self)
        self.set_up(context, ends, port)

    def set_up(self, context: ServerContext, ends: Ends, port: int) -> None:
        """As `__init__`, of one that was made by `__new__`, where it is compiled: there this is a call in C."""
        self.context = context
        self.ends = ends
        self.port = port
        self.protocol: WireProtocol = NO_PROTOCOL
        self._terms = _STAY
        self._moved = False
        self.tls: TlsSession | None = None
        """What TLS has agreed on with the client, when its handshake is done, and what a proxy says of its own one."""

    def begin(self, stream: Stream) -> None:
        """Own `stream`. It has no protocol before `switch`: a TLS handshake may come first."""
        self.stream = stream

    def switch(self, to: WireProtocol, rest: bytes = b"") -> None:
        """Speak another protocol from here on; `rest` are bytes of it that were read already.

        The first protocol comes with ALPN or the first bytes, another one with a preface or an Upgrade.
        """
        before, self.protocol = self.protocol, to
        self.stream.consumer = to
        if not to.can_move:
            self.stream.stay()
        if before is not NO_PROTOCOL:
            before.lost()
        self.context.owner.connection_speaks(self)
        if rest:
            to.received(rest)
        if self.protocol is to and self.stream.input_over:
            to.ended()

    @property
    def client(self) -> tuple[str, int] | None:
        """See `RequestHead`. Made anew each time: what is idle doesn't need it."""
        host = self.ends.host
        return None if host is None else (host, self.port)

    @property
    def moved(self) -> bool:
        """It goes on in another process."""
        return bool(self._moved)

    @property
    def terms(self) -> Terms:
        return _TERMS[self._terms]

    @property
    def scheme(self) -> str:
        """`https` if the client has connected by TLS: to us, or to the proxy that has introduced it."""
        proxied = self.ends.proxied
        return "https" if self.stream.secure or (proxied is not None and proxied.tls) else "http"

    @property
    def opened(self) -> bool:
        """Whether it has a protocol."""
        return self.protocol is not NO_PROTOCOL

    @property
    def can_move(self) -> bool:
        """Whether another process could go on with it, between two messages."""
        return self.stream.can_move and self.protocol.can_move

    @property
    def busy(self) -> bool:
        """Whether something is in flight in either direction, or a part of a message has come."""
        stream = self.stream
        return not self.protocol.at_rest or stream.unsent_bytes > 0 or stream.mid_record

    @property
    def closable(self) -> bool:
        """Whether a drain may close it at this moment: it isn't busy, or its protocol can end at any time."""
        return not self.busy or (self.protocol.pace.any_time and self.protocol.at_rest)

    @property
    def idle_since(self) -> float | None:
        """Since when, by the loop's clock, it is not busy; None if it is, or about to be closed."""
        return None if self.busy or self.stream.shut else self.protocol.idle_since

    def see_off(self, terms: Terms) -> None:
        """The worker's terms from now on. What is at rest at this moment is the caller's to hand over or close."""
        self.stream.flush()  # what is held a moment longer is no reason to be busy
        self._terms = _TERMS.index(terms)
        self.protocol.last_call(terms)

    def rested(self) -> None:
        """The protocol has come to rest. If something is not sent yet, the protocol calls again when it is."""
        if self._terms in _LEAVING:
            self.stream.flush()
            if not self.stream.unsent_bytes:
                self.context.owner.connection_rested(self)

    def pack(self) -> Parcel | None:
        """Stop reading and return what another process needs to go on; None if the connection can't go now.

        To be followed by `left` or `unpack`. The client notices nothing: what it sends meanwhile waits in the kernel.
        """
        stream = self.stream
        stream.flush()
        if not self.can_move or stream.shut or stream.input_over or stream.unsent_bytes:
            return None
        carried = self.protocol.carried()
        if carried is None:
            return None
        if stream.secure:
            state = stream.state()
            if state is None:
                if not stream.can_move:
                    self.context.owner.connection_stays(self)
                return None
            carried = carried._replace(tls=CarriedTls(*state))
        if self.ends.proxied is not None:
            carried = carried._replace(proxied=self.ends.proxied)
        try:
            return Parcel(stream.leave(), carried)
        except OSError:  # the poller would go on to watch it here (net.failures)
            return None

    def left(self) -> None:
        """Another process has it: close our copy of the descriptor."""
        self._moved = True
        self.stream.detach()

    def unpack(self) -> None:
        """No other process took it: go on as before."""
        self.stream.come_back()

    def close_idle(self, *, linger: bool = True) -> bool:
        """Close politely if it is `closable`. Tells whether it did.

        Without `linger` the descriptor is free as soon as all is with the kernel, whether or not the client closes its
        side too.
        """
        self.stream.flush()
        if self.stream.shut or not self.opened or not self.closable:
            return False
        since = self.idle_since
        if self.stream.read_now() and self.idle_since != since:
            return False  # the client was speaking just now, and may have its answer already
        self.protocol.close_at_rest(linger=linger)
        return True

    def abort(self) -> None:
        """Close at once; what was not sent yet is lost."""
        self.stream.abort()

    def describe(self) -> list[str]:
        """What is in flight, for logs: `GET /slow for 12.3 s`; empty when nothing is."""
        self.stream.flush()  # the client takes what is held a moment longer
        described = [str(one) for one in self.protocol.in_flight()]
        if not described and self.stream.unsent_bytes:
            described.append(f"a response of which the client has not taken {self.stream.unsent_bytes} bytes yet")
        return described

    def timed_out(self) -> None:
        try:
            self.protocol.timed_out()
        except Exception:
            self.stream.reset()  # nothing else would end it
            raise

    def stream_closed(self) -> None:
        """See `Closed`."""
        self.lose_protocol()
        self.context.owner.connection_closed(self)

    def lose_protocol(self) -> None:
        """The stream is closed; of one that no socket is under, the worker knows nothing."""
        protocol, self.protocol = self.protocol, NO_PROTOCOL  # this cuts the circle of the two
        protocol.lost()


class _NoProtocol:
    """Before the first protocol is chosen, and after the last one has ended."""

    pace = Pace()
    can_move = True
    grace_until = 0.0
    at_rest = False
    idle_since = None
    connection: Connection

    def received(self, data: bytes) -> None:
        return

    def ended(self) -> None:
        return

    def ended_unread(self) -> None:
        return

    def writable_again(self) -> None:
        return

    def last_call(self, terms: Terms) -> None:
        return

    def close_at_rest(self, *, linger: bool) -> None:
        return

    def carried(self) -> Carried | None:
        return None

    def in_flight(self) -> Iterable[InFlight]:
        return ()

    def timed_out(self) -> None:
        return

    def lost(self) -> None:
        return


NO_PROTOCOL = _NoProtocol()
