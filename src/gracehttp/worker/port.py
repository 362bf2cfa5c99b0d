"""One port of one worker: accepted sockets become connections, connections return their permits."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from gracehttp.events import ConnectionsShed, Event
from gracehttp.http.connection import NEW, Carried, Connection, HttpSettings, RequestFailed, RequestFinished
from gracehttp.http.exchange import Application, RequestHead
from gracehttp.http.http1 import Http1Connection
from gracehttp.net.acceptor import Acceptor
from gracehttp.net.forks import close_in_children
from gracehttp.net.kernel_view import queue_length
from gracehttp.net.syn_filter import drop_new_connections
from gracehttp.observe.requests import log_application_failure, log_broken_response
from gracehttp.worker.drain import IDLE_GRACE_SECONDS
from gracehttp.worker.handover import Arrivals, Departure, Departures
from gracehttp.worker.manifest import GivenListener
from gracehttp.worker.shedding import Shedder

TLS_SHUTDOWN_SECONDS = 1e7
"""No limit: `http.connection_end` knows better when a client has had its time, and what it has not taken yet."""


class Port:
    """Owns the listener it is given, and every connection accepted from it; it is their `Owner`.

    `on_change` is called whenever the port may have become quiet.
    """

    def __init__(
        self,
        listener: GivenListener,
        application: Application,
        settings: HttpSettings,
        *,
        tls: ssl.SSLContext | None,
        request_finished: RequestFinished | None,
        publish: Callable[[Event], None],
        on_change: Callable[[], None],
        shed_idle_after_seconds: float,
        request_failed: RequestFailed | None = None,
    ) -> None:
        """Connections that have been idle for `shed_idle_after_seconds` make room for newcomers if the port is full;
        0: they don't. `request_failed` is told of responses that the application could not give whole."""
        self._loop = asyncio.get_running_loop()
        self.bound = listener.bound
        self.connections: set[Connection] = set()
        self.request_finished = request_finished
        self._request_failed = request_failed
        self.number = listener.number
        self.queue = listener.queue
        self.permits = listener.permits
        self._listener = listener
        close_in_children(listener.socket)
        self._application = application
        self._settings = settings
        self._tls = tls
        self._publish = publish
        self._on_change = on_change
        self._draining = False
        self.paused = False
        self._left_to_others = False
        self._departures = Departures(listener.handover[0], self._loop) if listener.handover is not None else None
        self._arrivals: Arrivals | None = None
        self._handing_over = False
        self._closing_soon = False
        self._gone: set[Connection] = set()
        self._releasing = 0
        self._attaching: dict[Connection, asyncio.Task[None]] = {}
        self._shedder = Shedder(
            self.connections,
            idle_after_seconds=shed_idle_after_seconds,
            ranking=listener.ranking,
            loop=self._loop,
            closed=lambda count: ConnectionsShed(listener.number, listener.bound, count),
            publish=publish,
        )
        self._acceptor = Acceptor(
            listener.socket,
            listener.permits,
            self._on_accepted,
            address=listener.bound,
            loop=self._loop,
            publish=publish,
            make_room=self._shedder.make_room if shed_idle_after_seconds else None,
        )

    @property
    def quiet(self) -> bool:
        """No connection is open or being opened or on its way, and the permits of all that were are given back."""
        taking = self._arrivals is not None and not self._arrivals.ended
        return not (self.connections or self._attaching or self._releasing or taking)

    # --- its life ---

    def accept(self) -> None:
        """Accept connections from now on, for the first time or again; those that were to go stay."""
        if self.paused:
            self.paused = self._draining = self._handing_over = False
            if self._departures is not None:
                self._departures.withdraw()
            if self._arrivals is not None:
                self._arrivals.resume()
            for connection in self.connections:
                connection.stay()
        self._acceptor.start()

    def pause(self, *, hand_over: bool) -> None:
        """Leave newcomers to the workers that share the listener, and let connections go, see `drain`, but close none,
        except to make room on a full port.

        It ends with `accept` or `drain`.
        """
        self.paused = True
        self._acceptor.pause()
        if self._arrivals is not None:
            self._arrivals.pause()
        self._see_all_off(hand_over=hand_over)

    def stop_accepting(self) -> None:
        """Leave the queue to the other workers that share it.

        The listener stays open as long as they have it, see `drain`: connections that can't be handed over make room
        for whom they accept.
        """
        self._left_to_others = True
        self._acceptor.pause()

    def accept_the_rest(self, on_deaf: Callable[[], None], *, close_the_door: bool) -> None:
        """The port ends with this generation: accept who waits in the queue, then stop and call `on_deaf`.

        `close_the_door` if nobody else sees to it that no newcomers join the queue.
        """
        if close_the_door:
            drop_new_connections(self._listener.socket)
        open_to_others = self._listener.inherited and not close_the_door
        at_most = queue_length(self._listener.socket) if open_to_others else None
        self._acceptor.stop_when_queue_is_empty(on_deaf, at_most=at_most)

    def drain(self, *, hand_over: bool, soon: bool = False) -> None:
        """The port's end in this process. Every connection, also one that is still being opened, goes to the next
        generation as soon as it is between two requests (`hand_over`), or ends after its next response. If it must be
        `soon`, it is closed as well when it has become idle and nothing has come for a moment, because its response had
        begun before it could say that it is the last one. (Those that are idle already are the caller's to close.)

        May be called again without `hand_over`, when there is no next generation any more.
        """
        self.paused = False
        self._closing_soon = soon
        if self._arrivals is not None:
            self._arrivals.resume()  # if that was not left to others, nobody else may come to empty the queue
        if self._left_to_others and not hand_over:
            self._acceptor.stop()
        self._see_all_off(hand_over=hand_over)

    def _see_all_off(self, *, hand_over: bool) -> None:
        self._draining = True
        # What a TLS session is made of lives in this process's memory, so only the client can take it elsewhere.
        self._handing_over = hand_over and self._departures is not None and self._tls is None
        for connection in list(self.connections):
            self._see_off(connection)
        if self._departures is None:
            return
        if self._handing_over:
            self._departures.offer_soon([self._departure(one) for one in self.connections])
        else:
            self._departures.withdraw()

    # --- its handover queue ---

    def take_over(self, obey: Callable[[], None]) -> None:
        """Go on with the connections that older workers hand over. See `Arrivals` for `obey`."""
        if self._listener.handover is not None and self._arrivals is None:
            self._arrivals = Arrivals(
                self._listener.handover[1],
                self,
                loop=self._loop,
                obey=obey,
                on_end=self._on_change,
                publish=self._publish,
            )

    def take_no_more(self) -> None:
        """The queue belongs to the next generation."""
        if self._arrivals is not None:
            self._arrivals.close()

    def hold(self) -> None:
        """Nobody would take the connections that we hand over: keep them, and serve them, until `go_on`."""
        if self._departures is not None:
            self._departures.hold()

    def go_on(self) -> None:
        """Hand connections over again."""
        if self._departures is not None:
            self._departures.go_on()

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

    def close_rested(self, connection: Connection) -> None:
        """Close `connection` politely if nothing happens on it; but not before it has been idle for a moment, because
        its client may have sent the next request already."""
        since = connection.idle_since
        rest = 0.0 if since is None else since + IDLE_GRACE_SECONDS - self._loop.time()
        if rest > 0:
            self._loop.call_later(rest, self._close_if_idle, connection)
        else:
            self._close_if_idle(connection)

    def _close_if_idle(self, connection: Connection) -> None:
        if connection in self.connections:
            connection.close_idle()

    def cut(self) -> list[str]:
        """Close what is left, in the middle of whatever it does. Returns descriptions of the requests that were cut."""
        self._acceptor.stop()
        cut = [described for connection in self.connections if (described := connection.describe())]
        for connection in list(self.connections):
            connection.abort()
        for attaching in list(self._attaching.values()):
            attaching.cancel()  # a client that takes its time for a TLS handshake
        return cut

    def close(self) -> None:
        """To be called when the port is quiet and deaf."""
        self._acceptor.stop()
        self._shedder.close()
        self.close_handover()
        self.permits.close()

    # --- from socket to connection and back ---

    def _on_accepted(self, sock: socket.socket) -> None:
        self._attach_soon(sock, self._tls, NEW)

    def _attach_soon(self, sock: socket.socket, tls: ssl.SSLContext | None, carried: Carried) -> None:
        connection = Http1Connection(
            application=self._application,
            settings=self._settings,
            owner=self,
            loop=self._loop,
            scheme="https" if tls is not None else "http",
            carried=carried,
        )
        task = self._loop.create_task(self._attach(connection, sock, tls))
        self._attaching[connection] = task
        # Not in a `finally` of the task: one that is cancelled before its first turn never gets there.
        task.add_done_callback(lambda _task: self._attached(connection, sock))

    async def _attach(self, connection: Http1Connection, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        try:
            if tls is None:
                await self._loop.connect_accepted_socket(lambda: connection, sock)
            else:
                await self._loop.connect_accepted_socket(
                    lambda: connection,
                    sock,
                    ssl=tls,
                    ssl_handshake_timeout=self._settings.header_timeout_seconds,
                    ssl_shutdown_timeout=TLS_SHUTDOWN_SECONDS,
                )
        except (OSError, TimeoutError, ssl.SSLError):
            pass  # the client left, or speaks no TLS: that is its own affair, and as frequent as port scans

    def _attached(self, connection: Connection, sock: socket.socket) -> None:
        if self._attaching.pop(connection, None) is not None:  # it was never opened, so nobody else will close it
            sock.close()
            self._release_soon()

    def connection_opened(self, connection: Connection) -> None:
        self._attaching.pop(connection, None)
        self.connections.add(connection)
        if self._draining:
            self._see_off(connection)
            if self._handing_over:
                self._loop.call_soon(self._offer, connection)
            elif self._closing_soon:
                # It came out of the queue after the drain began, and has the same right to be heard as the others.
                self._close_soon(connection)

    def connection_closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if connection in self._gone:  # handed over: it is open elsewhere, and has taken its permit along
            self._gone.discard(connection)
            self._on_change()
        else:
            self._release_soon()

    def _release_soon(self) -> None:
        # The loop closes the descriptor only after it has told us; a permit that were given back before that would
        # let one connection too many be open for a moment.
        self._releasing += 1
        self._loop.call_soon(self._release_now)

    def _release_now(self) -> None:
        self._releasing -= 1
        self.release()

    def release(self) -> None:
        """Give one permit back."""
        self._acceptor.release()
        self._on_change()

    def adopt(self, sock: socket.socket, carried: Carried) -> None:
        """Go on with a connection that another worker has handed over, with the permit that came with it.

        It doesn't speak TLS, even if this port does by now: those that do are never handed over.
        """
        self._attach_soon(sock, None, carried)

    def _see_off(self, connection: Connection) -> None:
        if self._handing_over:
            connection.call_when_idle(self._offer)
        else:
            connection.drain()
            if self._closing_soon:
                connection.call_when_idle(self._close_soon)

    def _close_soon(self, connection: Connection) -> None:
        self._loop.call_later(IDLE_GRACE_SECONDS, self._close_if_idle, connection)

    def _offer(self, connection: Connection) -> None:
        if self._handing_over and self._departures is not None and connection in self.connections:
            self._departures.offer(self._departure(connection))

    def _departure(self, connection: Connection) -> Departure:
        return Departure(connection, self.permits, self._gone.add)

    # --- what connections report ---

    def application_failed(self, head: RequestHead, error: BaseException) -> None:
        log_application_failure(head, error)
        if self._request_failed is not None:
            self._request_failed(head)

    def response_broken(self, head: RequestHead, reason: str) -> None:
        log_broken_response(head, reason)
        if self._request_failed is not None:
            self._request_failed(head)
