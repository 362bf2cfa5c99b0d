"""What the operator asks for: by a signal, at the control socket, or by changing a file that `--reload` watches."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from gracehttp import events
from gracehttp.events.bus import EventBus
from gracehttp.supervisor.control.requesters import Requester, Requesters
from gracehttp.supervisor.fleet import Finish, Fleet, FleetSettings, inputs
from gracehttp.supervisor.processes.launches import Launches
from gracehttp.supervisor.succession.replacement import Replacement
from gracehttp.supervisor.terminal import Terminal
from gracehttp.wire.control import Outcome
from gracehttp.wire.signals import Meaning

INTERRUPT_DRAIN_SECONDS = 0.1
"""With `--reload`: how long requests in flight may take after Ctrl+C."""
INTERRUPT_SECONDS = 0.8
"""And how long after it everything that is left is ended by force. A person doesn't want to wait a second."""

_TOO_LATE = "the service is stopping, and takes no restart any more; start it again when it has ended."


class OperatorRequests:
    """Tells the fleet (`apply`), the log, and each requester how its command ends.

    `settings` are those of the first start. `ends_at_once`: the operator develops, and doesn't wait for streams that
    never end.
    """

    replacement: Replacement
    """Must be set before the first request."""

    def __init__(
        self,
        fleet: Fleet,
        launches: Launches,
        requesters: Requesters,
        bus: EventBus,
        terminal: Terminal,
        finished: asyncio.Future[Finish],
        *,
        apply: Callable[[inputs.Input], None],
        settings: FleetSettings,
        ends_at_once: bool,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._fleet = fleet
        self._launches = launches
        self._requesters = requesters
        self._bus = bus
        self._terminal = terminal
        self._finished = finished
        self._apply = apply
        self._settings = settings
        self._ends_at_once = ends_at_once

    # --- by a signal ---

    def on_signal(self, number: signal.Signals, meaning: Meaning) -> None:
        match meaning:
            case Meaning.RESTART if number is signal.SIGHUP and self._terminal.is_closed:
                self._stop_as_soon_as_wanted("the closed terminal")
            case Meaning.RESTART:
                self.restart_now(number.name)
            case Meaning.REPLACE:
                self._replace(number.name)
            case Meaning.STOP if number is signal.SIGINT:
                self._stop_as_soon_as_wanted(number.name)
            case Meaning.STOP:
                self._stop(number.name, force=False)
            case Meaning.SCALE_UP:
                self._apply(inputs.ScaleRequested(+1))
            case Meaning.SCALE_DOWN:
                self._apply(inputs.ScaleRequested(-1))

    # --- at the control socket ---

    def restart(self, source: str, requester: Requester, *, supersede: bool) -> None:
        """Start a new generation. The requester is told in the end whether it serves, and if not, why.

        If another one is starting, this one waits for its end, or ends it with `supersede`.
        """
        coming = self._fleet.coming
        if coming is not None and not supersede and not self._fleet.stopping:
            self._requesters.of_queued_restart(source, requester)
            self._bus.publish(events.RestartQueued(source, coming.number))
            return
        self._requesters.of_restart(self._fleet.next_generation, requester)
        self.restart_now(source)

    def replace(self, source: str, requester: Requester) -> None:
        """Replace this image of the supervisor, then restart. In the end the new image tells the requester whether the
        new generation serves, or this one why it was not replaced."""
        self._requesters.of_replacement(requester)
        self._replace(source)

    def stop(self, source: str, requester: Requester, *, force: bool) -> None:
        """Stop the service. The requester is told when all workers are gone."""
        self._requesters.of_stop(requester)
        if force or not self._fleet.stopping:
            self._stop(source, force=force)

    # --- what they come to ---

    def restart_now(self, source: str) -> None:
        """Start a new generation, instead of one that is starting, if there is one."""
        if self._fleet.stopping:
            self._requesters.concluded(Outcome(ok=False, message=_TOO_LATE, generation=self._fleet.next_generation))
            return
        self._launches.tell_moved_links()
        self._requesters.begin_queued(self._fleet.next_generation)
        self._requesters.restart_began(self._fleet.next_generation, source)
        self._bus.publish(events.RestartRequested(self._fleet.next_generation, source))
        self._apply(inputs.RestartRequested())

    def begin_queued_restart(self) -> None:
        """Begin the restart that waits, if one does and no generation is starting any more."""
        if (source := self._requesters.queued_source) and self._fleet.coming is None and not self._fleet.stopping:
            self.restart_now(source)

    def _replace(self, source: str) -> None:
        if self._fleet.stopping:
            self.not_replaced("the service is stopping")
            return
        self._launches.tell_moved_links()
        self._requesters.replacement_began(source)
        self._bus.publish(events.ReplacementRequested(source))
        newest = self._fleet.coming or self._fleet.serving
        settings = newest.settings if newest is not None else self._settings
        self.replacement.begin(source, timeout_seconds=settings.ready_timeout_seconds)

    def not_replaced(self, reason: str, details: str = "", unlogged: str = "") -> None:
        """The replacement of the supervisor was given up."""
        self._bus.publish(events.ReplacementGivenUp(reason, unlogged))
        message = str(events.ReplacementGivenUp(reason))
        self._requesters.not_replaced(Outcome(ok=False, message=message, details=details))

    def _stop_as_soon_as_wanted(self, source: str) -> None:
        """Stop as a person at the terminal wants it."""
        if not self._ends_at_once:
            self._stop(source, force=False)
            return
        if not self._fleet.stopping:
            self._loop.call_later(INTERRUPT_SECONDS, self._end_what_is_left, f"{source} {INTERRUPT_SECONDS:g} s ago")
        self._stop(source, force=False, drain_timeout_seconds=INTERRUPT_DRAIN_SECONDS)

    def _end_what_is_left(self, source: str) -> None:
        if not self._finished.done() and not self._fleet.forced:
            self._stop(source, force=True)

    def _stop(self, source: str, *, force: bool, drain_timeout_seconds: float | None = None) -> None:
        forced = self._fleet.stop_forces(force, self._loop.time())
        self._bus.publish(events.StopRequested(source, forced))
        if self.replacement.cancel():
            self.not_replaced("the service is stopping")
        self._apply(inputs.StopRequested(force, drain_timeout_seconds))
