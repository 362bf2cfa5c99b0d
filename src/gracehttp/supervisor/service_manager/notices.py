"""Which state of the service each event means (sd_notify(3))."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from gracehttp import events
from gracehttp.supervisor.fleet import LIFESPAN_SECONDS, STOP_ACCEPTING_SECONDS, FleetSettings

MARGIN_SECONDS = 5.0
"""On top of what something may take: for the system, which may be busy."""
_LONGEST_STATUS = 1000


class Notices:
    """Translates events, which `__call__` gets, to lines for `send`.

    READY=1 comes when the first generation serves. A restart is RELOADING=1, until it is decided how it ended: then it
    is READY=1 again, and STATUS tells whether the new code serves. So `systemctl reload` waits for it with
    Type=notify-reload. STOPPING=1 comes with the order to stop, before the stop delay.

    EXTEND_TIMEOUT_USEC goes with all that takes longer than a manager may expect: a start, a restart and a stop.
    """

    def __init__(
        self,
        send: Callable[..., None],
        *,
        settings: Callable[[], FleetSettings],
        on_probation: Callable[[], bool],
        was_ready: bool,
    ) -> None:
        """`settings()` are those of the generation that starts or serves. `was_ready`: the image before has said it."""
        self._send = send
        self._settings = settings
        self._on_probation = on_probation
        self._ready = was_ready
        self._stopping = False

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.SupervisorStarted():
                self._send(_status("starting"), self._start_takes())
            case events.WorkerStarted():
                if not self._ready and not self._stopping:
                    self._send(self._start_takes())
            case events.SupervisorReplaced():
                self._send(f"MAINPID={os.getpid()}")
            case events.RestartRequested():
                self._restart(str(event))
            case events.GenerationPromoted():
                if not self._on_probation():
                    self._concluded(str(event))
            case events.ProbationStarted():
                self._send(_status(str(event)), _extend(event.seconds + MARGIN_SECONDS))
            case events.ProbationEnded() | events.GenerationRolledBack():
                self._concluded(str(event))
            case events.GenerationGivenUp():
                self._given_up(event)
            case events.StopRequested():
                self._stop(str(event))
            case events.WorkerDied() | events.ReplacementGivenUp():
                self._send(_status(str(event)))

    def _restart(self, sentence: str) -> None:
        if self._ready:  # a manager that is still starting the service waits for READY=1 alone
            since = f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
            self._send("RELOADING=1", since, _status(sentence), self._start_takes())

    def _concluded(self, sentence: str) -> None:
        if self._stopping:
            return
        self._ready = True
        self._send("READY=1", f"MAINPID={os.getpid()}", _status(sentence))

    def _given_up(self, event: events.GenerationGivenUp) -> None:
        if event.serving is not None:
            self._concluded(event.with_reason)
        else:
            self._send(_status(event.with_reason))

    def _stop(self, sentence: str) -> None:
        self._stopping = True
        settings = self._settings()
        seconds = settings.stop_delay_seconds + settings.drain_timeout_seconds + LIFESPAN_SECONDS
        self._send("STOPPING=1", _status(sentence), _extend(seconds + MARGIN_SECONDS))

    def _start_takes(self) -> str:
        """At most, until the next worker starts or all is decided."""
        return _extend(self._settings().ready_timeout_seconds + STOP_ACCEPTING_SECONDS + MARGIN_SECONDS)


def _status(sentence: str) -> str:
    return "STATUS=" + " ".join(sentence.split())[:_LONGEST_STATUS]


def _extend(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}"
