"""What each signal means. Handlers only translate; the supervisor's loop acts."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from gracehttp.supervisor.fleet import Input, RestartRequested, ScaleRequested, StopRequested


@dataclass(frozen=True, slots=True)
class ReplacementRequested:
    """Somebody wants another supervisor, and then a new generation. What is no matter of the fleet's until then."""


MEANING: dict[signal.Signals, Input | ReplacementRequested] = {
    signal.SIGHUP: RestartRequested(),
    signal.SIGUSR1: RestartRequested(),
    signal.SIGUSR2: ReplacementRequested(),
    signal.SIGTERM: StopRequested(),
    signal.SIGQUIT: StopRequested(),
    signal.SIGINT: StopRequested(),
    signal.SIGTTIN: ScaleRequested(+1),
    signal.SIGTTOU: ScaleRequested(-1),
}
