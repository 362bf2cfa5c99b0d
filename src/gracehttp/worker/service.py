"""What one process serves: its applications and ports, from start to drain. With or without a supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gracehttp.applications.loading import ApplicationLoader, application_of
from gracehttp.applications.probes import Answers, Health, Probed
from gracehttp.applications.registry import Applications, ApplicationSettings
from gracehttp.config import ServerOptions
from gracehttp.events import DrainFinished, DrainStarted, Event, RequestsCut
from gracehttp.http.connection import Terms
from gracehttp.http.exchange import RequestFinished
from gracehttp.http.handler import Application
from gracehttp.http.settings import settings_of
from gracehttp.net.poller import Poller, new_poller
from gracehttp.values import EMPTY, Value
from gracehttp.wire.messages import DrainReason
from gracehttp.worker.certificates import Certificates, PortTls
from gracehttp.worker.connections import RequestFailed
from gracehttp.worker.drain import Action, Drain
from gracehttp.worker.manifest import GivenListener
from gracehttp.worker.port import Port
from gracehttp.worker.port_terms import PortTerms
from gracehttp.worker.rehearsal import rehearse
from gracehttp.worker.successors import NO_SUCCESSORS, Successors
from gracehttp.worker.warmup import warm_up

if TYPE_CHECKING:
    from gracehttp.applications.wsgi.threads import ThreadPool

LIFESPAN_SHUTDOWN_SECONDS = 9.0
"""Less than the supervisor waits after the drain (`supervisor.fleet.LIFESPAN_SECONDS`)."""
CANCEL_SECONDS = 0.5
"""How long applications that were cancelled at the end of a drain have to clean up."""


class ServiceSettings(Value):
    applications: ApplicationSettings
    warmup: Sequence[str] = ()
    request_finished: RequestFinished | None = None
    request_failed: RequestFailed | None = None
    probes: Answers = EMPTY
    """The health checks that every port answers itself."""
    rehearses: bool = False
    """True if the first clients may come all at once: see `worker.rehearsal`."""
    drops_new_connections: bool = False
    """True if no other process keeps new connections out of the queues when the service ends."""


class Service:
    """`start`, `accept`, and at last `drain`, each once; `order_drain` at any time, any number of times. Between
    `accept` and the drain it may `pause`, and `accept` again."""

    def __init__(
        self,
        settings: ServiceSettings,
        loader: ApplicationLoader,
        publish: Callable[[Event], None],
        health: Health | None = None,
    ) -> None:
        """`health` is what the `probes` of the settings tell."""
        self._health = health or Health()
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._publish = publish
        self._successors = NO_SUCCESSORS
        self._drops_new_connections = settings.drops_new_connections
        self._changed = asyncio.Event()
        self._applications = Applications(settings.applications, loader, self._changed.set, publish)
        self._opened = contextlib.ExitStack()  # what is closed last, from a successful start on
        self.ports: list[Port] = []
        self._drain: Drain | None = None
        self._draining = False
        self._accepting = 0
        self.drain_ordered = asyncio.Event()
        self.on_stopped_accepting: Callable[[], None] = lambda: None
        """Called once, when the service accepts no more."""

    async def start(
        self,
        servers: Sequence[ServerOptions],
        listeners: Sequence[GivenListener],
        certificates: Certificates,
        on_stage: Callable[[str], None] = lambda doing: None,
    ) -> None:
        """Load, start and warm the applications, and prepare the ports. Nothing is accepted yet.

        Raises `StartError` of some kind. `listeners[i]` is that of `servers[i]`, and `certificates` are those of
        `servers`. `on_stage` is told what begins.
        """
        with contextlib.ExitStack() as opened:
            poller = new_poller(self._loop)
            opened.callback(poller.close)
            await self._start(servers, listeners, certificates, on_stage, poller)
            self._opened = opened.pop_all()

    async def _start(
        self,
        servers: Sequence[ServerOptions],
        listeners: Sequence[GivenListener],
        certificates: Certificates,
        on_stage: Callable[[str], None],
        poller: Poller,
    ) -> None:
        applications = self._applications.provide(map(application_of, servers))
        for application in self._applications:
            on_stage(f"in the lifespan startup of {application.name}")
            await application.startup()
        root_paths = {one: server.root_path for server, one in reversed(list(zip(servers, applications, strict=True)))}
        for application in self._applications:
            await self._warm_up(application, root_paths[application], on_stage, poller)
        for given in zip(servers, listeners, certificates.ports, applications, strict=True):
            self.ports.append(self._port(*given, poller))
        certificates.on_use = lambda: self._use_tls(certificates.ports)
        if self._settings.rehearses:
            await rehearse(poller)

    async def _warm_up(
        self, application: Application, root_path: str, on_stage: Callable[[str], None], poller: Poller
    ) -> None:
        for path in self._settings.warmup:
            on_stage(f"waiting for the answer to the warm-up request GET {path}")
            self._publish(await warm_up(application, path, poller, root_path=root_path))

    def _port(
        self,
        server: ServerOptions,
        listener: GivenListener,
        tls: PortTls | None,
        application: Application,
        poller: Poller,
    ) -> Port:
        return Port(
            listener,
            Probed(application, self._settings.probes) if self._settings.probes else application,
            settings_of(server),
            poller=poller,
            tls=tls.context if tls is not None else None,
            key_log=tls.key_log if tls is not None else None,
            request_finished=self._settings.request_finished,
            request_failed=self._settings.request_failed,
            publish=self._publish,
            on_change=self._changed.set,
            shed_idle_after_seconds=server.shed_idle_after,
            room=self._applications.room_of(application),
        )

    def _use_tls(self, tls_of_ports: Sequence[PortTls | None]) -> None:
        for port, tls in zip(self.ports, tls_of_ports, strict=True):
            if tls is not None:
                port.use_tls(tls.context)

    @property
    def in_flight(self) -> int:
        """How many requests the applications work on."""
        return self._applications.in_flight

    @property
    def thread_pools(self) -> list[ThreadPool]:
        """The thread pools of the WSGI applications."""
        return self._applications.thread_pools

    def accept(self) -> None:
        """Serve from now on, for the first time or after a pause, unless the drain was ordered already."""
        if self._drain is not None:
            return
        self._applications.limit_requests()
        for port in self.ports:
            port.accept()

    def pause(self, successors: Successors) -> None:
        """Leave to `successors` what they have too, and keep everything ready to go on. Other listeners are served as
        before, or again. The applications hear nothing of it. Nothing is closed, except to make room on a full port.
        """
        if self._drain is not None:
            return
        self._successors = successors
        for port in self.ports:
            if port.number in successors.listeners:
                port.pause(self._terms_of(port))
            elif port.paused:
                port.accept()

    def take_over(self, check_orders: Callable[[], None]) -> None:
        """Go on with the connections that older workers hand over.

        See `Arrivals` for `check_orders`. A drain ends it at once for the ports that a next generation has; the others
        wait until their queues are sealed and empty, because no generation comes after us.
        """
        if self._drain is None:
            for port in self.ports:
                port.take_over(check_orders)

    def hold(self) -> None:
        """No worker would take the connections that we hand over: keep them, and serve them, until `resume`."""
        for port in self.ports:
            port.hold()

    def resume(self) -> None:
        """Hand connections over again."""
        for port in self.ports:
            port.resume()

    def announce_stop(self) -> None:
        """The service will stop: health checks are told, and nothing else changes."""
        self._health.stops = True

    def supervisor_lost(self, timeout_seconds: float) -> None:
        """There is no supervisor any more: finish what is in flight, and let no new connection in."""
        self._drops_new_connections = True
        self._health.lives = False
        for port in self.ports:
            port.seal()
        self.order_drain(DrainReason.STOP, timeout_seconds)

    def order_drain(
        self,
        reason: DrainReason,
        timeout_seconds: float,
        successors: Successors = NO_SUCCESSORS,
        others_accept: bool = False,
    ) -> None:
        """Begin to drain, or, if that was ordered before, hurry up: of two deadlines the earlier one holds.

        `others_accept`: other workers that drain may accept still, until `others_stopped`.
        """
        now = self._loop.time()
        if reason is DrainReason.STOP:
            self._health.stops = True
        if self._drain is None:
            self._drain = Drain(reason, timeout_seconds, now, others_accept=others_accept)
        else:
            self._drain.ordered_again(reason, timeout_seconds, now)
        self._successors = successors
        for port in self.ports:
            if reason is DrainReason.RESTART and self._is_taken(port):
                port.take_no_more()
        if self._draining:
            self._tell_ports()
        self.drain_ordered.set()
        self._changed.set()

    def others_stopped(self) -> None:
        """No other worker that drains accepts any more: who is sent away comes to a successor."""
        if self._drain is not None:
            self._drain.others_stopped()
            self._changed.set()

    async def drain(self) -> None:
        """Wait for the order to drain, and end in good order: what happens is what stands here, from top to bottom."""
        await self.drain_ordered.wait()
        drain = self._drain
        assert drain is not None
        open_connections = sum(len(port.connections) for port in self.ports)
        self._publish(DrainStarted(open_connections, drain.ends_at - drain.began_at))
        self._stop_accepting(drain.reason)
        self._draining = True
        self._tell_ports()
        await self._wait_for_others(drain)
        self._applications.tell_of_drain()  # after the ports, so that what ends now finds its connection's way decided
        await self._wait_until_quiet(drain)
        for port in self.ports:
            port.close_handover()
        self._applications.refuse_waiting()
        cut = [described for port in self.ports for described in port.cut()]
        await self._cancel_the_rest()
        self._applications.limit_no_more()
        seconds = self._loop.time() - drain.began_at
        self._publish(RequestsCut(seconds, tuple(cut), os.getpid()) if cut else DrainFinished(seconds))
        await self._shut_applications_down()
        for port in self.ports:
            port.close()
        self._opened.close()

    async def _shut_applications_down(self) -> None:
        # All at once: the supervisor waits no longer for several applications than for one.
        endings = [application.shutdown(LIFESPAN_SHUTDOWN_SECONDS) for application in self._applications]
        for complaint in await asyncio.gather(*endings):
            if complaint:
                logging.getLogger("gracehttp").error("%s", complaint)

    def _is_taken(self, port: Port) -> bool:
        """Whether other workers take what is in the handover queue of `port`."""
        return self._successors.take_from(port.queue, port.number)

    def _tell_ports(self) -> None:
        for port in self.ports:
            port.drain(self._terms_of(port))

    def _terms_of(self, port: Port) -> PortTerms:
        """What the order to pause or to drain means for the connections of `port`.

        At a stop they are also closed at rest: a response may have begun before it could say `Connection: close`.
        """
        stops = self._drain is not None and self._drain.reason is DrainReason.STOP
        end = Terms.SOON if stops else Terms.LAST_RESPONSE
        plain = Terms.HAND_OVER if self._is_taken(port) else end
        return PortTerms(plain, plain if port.number in self._successors.tls_listeners else end, end)

    def _stop_accepting(self, reason: DrainReason) -> None:
        left = self._successors.listeners if reason is DrainReason.RESTART else frozenset()
        ending = [port for port in self.ports if port.number not in left]
        for port in self.ports:
            if port.number in left:
                port.stop_accepting()  # the queue belongs to the next generation
        self._accepting = len(ending)
        for port in ending:
            port.accept_the_rest(self._port_stopped_accepting, drop_new=self._drops_new_connections)
        if not ending:
            self.on_stopped_accepting()

    def _port_stopped_accepting(self) -> None:
        self._accepting -= 1
        self._changed.set()
        if self._accepting == 0:
            self.on_stopped_accepting()

    @property
    def _quiet(self) -> bool:
        return not self._accepting and not self._applications.in_flight and all(port.quiet for port in self.ports)

    async def _wait_for_others(self, drain: Drain) -> None:
        for port in self.ports:
            port.others_accept(drain.seconds_for_others(self._loop.time()) > 0)
        while not self._quiet and (left := drain.seconds_for_others(self._loop.time())) > 0:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)
        for port in self.ports:
            port.others_accept(False)
        drain.send_away(self._loop.time())

    async def _wait_until_quiet(self, drain: Drain) -> None:
        while not self._quiet:
            self._changed.clear()
            now = self._loop.time()
            drain.expect(pace for port in self.ports for pace in port.connections.paces)
            match drain.due(now):
                case Action.CUT:
                    return
                case Action.CLOSE_IDLE:
                    self._close_some(drain, now)
                case Action.WAIT:
                    try:
                        await asyncio.wait_for(self._changed.wait(), drain.seconds_to_next(now))
                    except TimeoutError:
                        continue

    def _close_some(self, drain: Drain, now: float) -> None:
        for pace, pacer in drain.closing(now):
            if not pace.any_time:  # the last part of the drain has begun
                for port in self.ports:
                    port.hurry_handover()
            hurries = now >= pacer.closing_until
            closable = [
                (port, one)
                for port in self.ports
                for one in port.connections
                if one.protocol.pace == pace and one.closable and (hurries or one.protocol.grace_until <= now)
            ]
            for port, connection in closable[: pacer.how_many(len(closable), now)]:
                port.close_rested(connection)

    async def _cancel_the_rest(self) -> None:
        for application in self._applications:
            application.cancel_all()
        deadline = self._loop.time() + CANCEL_SECONDS
        while not self._quiet and (left := deadline - self._loop.time()) > 0:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return
