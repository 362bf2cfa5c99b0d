"""What each signal means. Handlers only translate; the supervisor's loop acts."""

from __future__ import annotations

import signal

from gracehttp.supervisor.generation import Input, RestartRequested, ScaleRequested, StopRequested

MEANING: dict[signal.Signals, Input] = {
    signal.SIGHUP: RestartRequested(),
    signal.SIGUSR1: RestartRequested(),
    signal.SIGUSR2: RestartRequested(),
    signal.SIGTERM: StopRequested(),
    signal.SIGQUIT: StopRequested(),
    signal.SIGINT: StopRequested(),
    signal.SIGTTIN: ScaleRequested(+1),
    signal.SIGTTOU: ScaleRequested(-1),
}
