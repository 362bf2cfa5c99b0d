"""One port of one worker: the orders that it gets during its life, and the part that carries each of them out.

The acceptor brings new connections, the arrivals those of older generations; `Connections` has them while they are
open; the departures send them on to the next generation.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from gracehttp.events import ConnectionsShed, Event
from gracehttp.http.connection import Connection, Terms
from gracehttp.http.exchange import RequestFinished
from gracehttp.http.handler import Handler
from gracehttp.http.settings import HttpSettings
from gracehttp.net.acceptor import Acceptor
from gracehttp.net.forks import close_in_children
from gracehttp.net.kernel_view import queue_length
from gracehttp.net.poller import Poller
from gracehttp.net.restraint import Restraint, Room
from gracehttp.net.syn_filter import drop_new_connections
from gracehttp.net.tls13.handover import KeyLog
from gracehttp.wire.handover import Carried
from gracehttp.worker.arrivals import Arrivals
from gracehttp.worker.connections import Connections, RequestFailed
from gracehttp.worker.departures import Departures
from gracehttp.worker.manifest import GivenListener
from gracehttp.worker.port_terms import PortTerms
from gracehttp.worker.shedding import Shedder


class Port:
    """Owns the listener it is given. `on_change` is called whenever the port may have become quiet."""

    def __init__(
        self,
        listener: GivenListener,
        application: Handler,
        settings: HttpSettings,
        *,
        poller: Poller,
        tls: ssl.SSLContext | None,
        key_log: KeyLog | None = None,
        request_finished: RequestFinished | None,
        publish: Callable[[Event], None],
        on_change: Callable[[], None],
        shed_idle_after_seconds: float,
        request_failed: RequestFailed | None = None,
        room: Room | None = None,
    ) -> None:
        """Connections that have been idle for `shed_idle_after_seconds` make room for new ones if the port is full; 0:
        they don't. `request_failed` is told of responses that the application could not give whole. `room` is what
        their requests run in, if new connections are left to other workers while it is full."""
        self._loop = asyncio.get_running_loop()
        self.bound = listener.bound
        self.number = listener.number
        self.queue = listener.queue
        self.permits = listener.permits
        self._listener = listener
        close_in_children(listener.socket)
        self._publish = publish
        self._on_change = on_change
        self.paused = False
        self._left_to_others = False
        self._arrivals: Arrivals | None = None
        self._departures: Departures | None = None
        if listener.handover is not None:
            # Already now: one of its siblings that begins a moment earlier leaves this worker its share.
            listener.shares.begin_taking()
            self._departures = Departures(listener.handover[0], listener.permits, self._loop, listener.shares)
        self.connections = Connections(
            listener.socket,
            application,
            settings,
            address=listener.bound,
            poller=poller,
            loop=self._loop,
            tls=tls,
            key_log=key_log,
            request_finished=request_finished,
            request_failed=request_failed,
            on_closed=self._connection_closed,
            on_rested=self._connection_rested,
            on_pace=on_change,
            publish=publish,
        )
        self._shedder = Shedder(
            self.connections.open,
            self.connections.longest_idle,
            idle_after_seconds=shed_idle_after_seconds,
            ranking=listener.ranking,
            loop=self._loop,
            closed=lambda count: ConnectionsShed(listener.number, listener.bound, count),
            publish=publish,
        )
        self._acceptor = Acceptor(
            listener.socket,
            listener.permits,
            self.connections.attach,
            address=listener.bound,
            loop=self._loop,
            publish=publish,
            make_room=self._shedder.make_room if shed_idle_after_seconds else None,
            restraint=Restraint(room, self._loop) if room is not None else None,
        )

    @property
    def quiet(self) -> bool:
        """No connection is open or on its way to this process."""
        taking = self._arrivals is not None and not self._arrivals.ended
        return not (self.connections.open or taking)

    # --- its life ---

    def accept(self) -> None:
        """Accept connections from now on, for the first time or again; those that were to go stay."""
        if self.paused:
            self.paused = False
            if self._departures is not None:
                self._departures.withdraw()
            if self._arrivals is not None:
                self._arrivals.resume()
            self.connections.keep()
        self._acceptor.start()

    def pause(self, terms: PortTerms) -> None:
        """Leave new connections to the workers that share the listener, and keep the open ones on these terms. The port
        closes none, except to make room if it is full.

        It ends with `accept` or `drain`.
        """
        self.paused = True
        self._acceptor.pause()
        if self._arrivals is not None:
            self._arrivals.pause()
        self._see_all_off(terms)

    def stop_accepting(self) -> None:
        """Leave the queue to the other workers that share it.

        The listener stays open as long as they have it, see `drain`: connections that can't be handed over make room
        for those that they accept.
        """
        self._left_to_others = True
        self._acceptor.pause()

    def accept_the_rest(self, on_stopped: Callable[[], None], *, drop_new: bool) -> None:
        """The port ends with this generation: accept what waits in the queue, then stop and call `on_stopped`.

        `drop_new` if no other process keeps new connections out of the queue. Those of an inherited socket wait for the
        next program: a filter there would outlive a service that is killed. So do those of a socket that the service
        manager keeps, if the supervisor was killed.
        """
        inherited = self._listener.inherited or (self._listener.kept and drop_new)
        if drop_new and not inherited:
            drop_new_connections(self._listener.socket)
        at_most = queue_length(self._listener.socket) if inherited else None
        self._acceptor.stop_when_queue_is_empty(on_stopped, at_most=at_most)

    def drain(self, terms: PortTerms) -> None:
        """The port's end in this process, on these terms. Its connections that are idle already are the caller's to
        close. May be called again with other terms, when there is no next generation any more.
        """
        self.paused = False
        if self._arrivals is not None:
            self._arrivals.resume()  # no other worker may come to empty the queue
        if self._left_to_others and not terms.hand_over:
            self._acceptor.stop()
        self._see_all_off(terms)

    def others_accept(self, accept: bool) -> None:
        """Whether other workers that drain may accept still. Meanwhile no response brings GOAWAY."""
        self.connections.others_accept(accept)

    def _see_all_off(self, terms: PortTerms) -> None:
        departures = self._departures
        if departures is None:
            self.connections.see_off(terms.without_handover())
            return
        if terms.hand_over:
            departures.begin()
        else:
            departures.withdraw()
        self.connections.see_off(terms, departures.offer_soon)

    def use_tls(self, context: ssl.SSLContext) -> None:
        """See `Connections.use_tls`."""
        self.connections.use_tls(context)

    # --- its handover queue ---

    def take_over(self, check_orders: Callable[[], None]) -> None:
        """Go on with the connections that older workers hand over. See `Arrivals` for `check_orders`."""
        if self._listener.handover is not None and self._arrivals is None:
            self._arrivals = Arrivals(
                self._listener.handover[1],
                self,
                loop=self._loop,
                check_orders=check_orders,
                on_end=self._on_change,
                publish=self._publish,
                shares=self._listener.shares,
            )

    def adopt(self, descriptor: int, carried: Carried) -> None:
        """See `HandoverTarget`."""
        self.connections.adopt(descriptor, carried)

    def take_no_more(self) -> None:
        """The queue belongs to the next generation."""
        if self._arrivals is not None:
            self._arrivals.close()
        else:
            self._listener.shares.end_taking()

    def hold(self) -> None:
        """No worker would take the connections that we hand over: keep them, and serve them, until `resume`."""
        if self._departures is not None:
            self._departures.hold()

    def resume(self) -> None:
        """Hand connections over again."""
        if self._departures is not None:
            self._departures.resume()

    def hurry_handover(self) -> None:
        """The connections that are to be handed over would soon be closed here: leave them in the queue, however long
        they wait there."""
        if self._departures is not None:
            self._departures.hurry()

    def seal(self) -> None:
        """See `Departures.seal`."""
        if self._departures is not None:
            self._departures.seal()

    def close_handover(self) -> None:
        """Take nothing and hand nothing over any more."""
        self.take_no_more()
        if self._departures is not None:
            self._departures.close()
        if self._listener.handover is not None:
            self._listener.handover[1].close()

    # --- the end of its connections ---

    def close_rested(self, connection: Connection) -> None:
        """Close `connection` politely if nothing happens on it; but not before it has been idle for a moment, because
        its client may have sent the next request already."""
        since = connection.idle_since
        grace_seconds = connection.protocol.pace.grace_seconds
        rest = 0.0 if since is None else since + grace_seconds - self._loop.time()
        if rest > 0:
            self._loop.call_later(rest, self._close_if_idle, connection)
        else:
            self._close_if_idle(connection)

    def _close_if_idle(self, connection: Connection) -> None:
        if connection in self.connections.open:
            connection.close_idle()

    def cut(self) -> list[str]:
        """Close what is left, in the middle of whatever it does. Returns descriptions of the requests that were cut."""
        self._acceptor.stop()
        cut = [described for connection in self.connections for described in connection.describe()]
        for connection in self.connections:
            connection.abort()
        return cut

    def close(self) -> None:
        """To be called when the port is quiet and accepts no more."""
        self._acceptor.stop()
        self._shedder.close()
        self.close_handover()
        self.connections.close()
        self.permits.close()

    # --- what connections report ---

    def release(self) -> None:
        """Give one permit back."""
        self._acceptor.release()
        self._on_change()

    def _connection_closed(self, permit_is_free: bool) -> None:
        if permit_is_free:
            self._acceptor.release()
        if not self.connections.open:
            self._on_change()

    def _connection_rested(self, connection: Connection) -> None:
        if connection.terms is Terms.SOON:
            grace_seconds = connection.protocol.pace.grace_seconds
            self._loop.call_later(grace_seconds, self._close_if_idle, connection)
        elif self._departures is not None:
            self._departures.offer(connection)
