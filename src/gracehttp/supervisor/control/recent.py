"""What happened last, for clients that come later: `gracehttp top` shows it."""

from __future__ import annotations

import time
from collections import deque

from gracehttp.events import Event, Severity
from gracehttp.values import to_plain
from gracehttp.wire.control import RecentEvent
from gracehttp.wire.json_lines import encode_line

MOST_EVENTS = 100
MOST_CHARACTERS = 300


class RecentEvents:
    """A subscriber of the event bus."""

    def __init__(self) -> None:
        self._events: deque[RecentEvent] = deque(maxlen=MOST_EVENTS)

    def on_event(self, event: Event) -> None:
        if event.severity is not Severity.DEBUG:
            sentence = str(event).partition("\n")[0][:MOST_CHARACTERS]
            self._events.append(RecentEvent(time.time(), event.severity.value, sentence))

    def lines(self) -> str:
        """One line of JSON for each, the oldest first."""
        return b"".join(encode_line(to_plain(one)) for one in self._events).decode()
