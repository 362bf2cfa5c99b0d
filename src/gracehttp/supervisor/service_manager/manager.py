"""The service manager of one supervisor, as its environment names it; without one, all of this does nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping

from gracehttp.events import Event, GenerationPromoted, ListenerLeft, ManagerNotTold
from gracehttp.events.bus import EventBus
from gracehttp.net.activation import passed_descriptors
from gracehttp.supervisor.endpoints.health import Liveness
from gracehttp.supervisor.fleet import Fleet, FleetSettings
from gracehttp.supervisor.service_manager.notices import Notices
from gracehttp.supervisor.service_manager.socket import notify_socket
from gracehttp.supervisor.service_manager.store import ListenerStore
from gracehttp.supervisor.service_manager.watchdog_pings import WatchdogPings, watchdog_seconds


class ServiceManager:
    """Tells it what happens, keeps its watchdog quiet, and has its `store`."""

    def __init__(self, environ: Mapping[str, str], bus: EventBus, *, fd_store: str, is_first: bool) -> None:
        """`fd_store` is the option. `is_first`: no image of this process ran before, and what was passed is ours."""
        self._bus = bus
        self._socket = notify_socket(environ, lambda reason: bus.publish(ManagerNotTold(reason)))
        self._watchdog: WatchdogPings | None = None
        self._allowed_seconds = watchdog_seconds(environ, os.getpid())
        keeps = fd_store == "on" or (fd_store == "auto" and environ.get("FDSTORE", "0") not in ("", "0"))
        passed = passed_descriptors(environ, os.getpid()) if is_first else ()
        self.store = ListenerStore(self._socket.send if self._socket is not None and keeps else None, passed)

    def begin(self, fleet: Fleet, liveness: Liveness) -> None:
        """Tell of what happens from now on."""
        self._bus.subscribe(self._close_what_is_left)
        if self._socket is None:
            return

        def settings() -> FleetSettings:
            generation = fleet.coming or fleet.serving
            return generation.settings if generation is not None else fleet.first_settings

        def on_probation() -> bool:
            return fleet.serving is not None and fleet.serving.probation is not None

        notices = Notices(
            self._socket.send, settings=settings, on_probation=on_probation, was_ready=fleet.serving is not None
        )
        self._bus.subscribe(notices)
        if self._allowed_seconds is not None:
            self._watchdog = WatchdogPings(self._allowed_seconds, liveness, self._socket.send)

    def close(self) -> None:
        if self._watchdog is not None:
            self._watchdog.close()
        if self._socket is not None:
            self._socket.close()

    def _close_what_is_left(self, event: Event) -> None:
        if isinstance(event, GenerationPromoted):
            for address in self.store.forget_the_rest():
                self._bus.publish(ListenerLeft(address))
