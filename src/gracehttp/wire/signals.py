"""The signals that the supervisor acts on. A terminal sends some of them to the whole process group, so workers and
templates have to know them too: they leave them to the supervisor."""

from __future__ import annotations

import enum
import signal
from collections.abc import Mapping
from types import MappingProxyType


class Meaning(enum.Enum):
    """What a signal asks the supervisor for."""

    RESTART = "restart"
    REPLACE = "replace the supervisor, then restart"
    STOP = "stop"
    SCALE_UP = "one worker more"
    SCALE_DOWN = "one worker less"


SIGNALS: Mapping[signal.Signals, Meaning] = MappingProxyType({
    signal.SIGHUP: Meaning.RESTART,
    signal.SIGUSR1: Meaning.RESTART,
    signal.SIGUSR2: Meaning.REPLACE,
    signal.SIGTERM: Meaning.STOP,
    signal.SIGQUIT: Meaning.STOP,
    signal.SIGINT: Meaning.STOP,
    signal.SIGTTIN: Meaning.SCALE_UP,
    signal.SIGTTOU: Meaning.SCALE_DOWN,
})  # fmt: skip
