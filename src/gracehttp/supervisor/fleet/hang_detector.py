"""Whether a worker hangs: what its page tells from look to look, and how long it has told nothing new. Pure.

The words on the page count the beats of the worker's event loop, so no clock is compared with another one. Time counts
only as far as the supervisor itself has looked: if that was stopped too, with the whole container or the machine, the
time in between says nothing about the worker. A worker that is stopped, or that a debugger has, doesn't hang.
"""

from __future__ import annotations

from dataclasses import dataclass

from gracehttp.values import Value

LOOKS_PER_TIMEOUT = 4
"""How often, within the hang timeout, each worker is looked at."""
MOST_SECONDS_BETWEEN_LOOKS = 2.0
_LATE = 2.0
"""A look that comes later than twice its time counts as one that came then."""


def seconds_between_looks(hang_timeout_seconds: float) -> float:
    return min(hang_timeout_seconds / LOOKS_PER_TIMEOUT, MOST_SECONDS_BETWEEN_LOOKS)


class Observation(Value):
    """What one look has found: the words of the worker's page, and whether the process is stopped."""

    beats: int
    progress: int
    debugged: bool
    stopped: bool


class Hang(Value):
    """`kind` is `loop` or `threads`, as in `events.WorkerHung`."""

    kind: str
    seconds: float


@dataclass(slots=True)
class HangDetector:
    """What is known of one worker, from its first look on."""

    last: Observation | None = None
    without_beat_seconds: float = 0.0
    without_progress_seconds: float = 0.0

    def observe(self, seen: Observation, seconds: float, hang_timeout_seconds: float) -> Hang | None:
        """What `seen`, `seconds` after the last one, makes of it: None if the worker is well, or not known to hang."""
        last, self.last = self.last, seen
        if last is None or not seen.beats or seen.debugged or seen.stopped or last.stopped:
            self.without_beat_seconds = self.without_progress_seconds = 0.0
            return None
        seconds = min(seconds, _LATE * seconds_between_looks(hang_timeout_seconds))
        self.without_beat_seconds += seconds
        self.without_progress_seconds += seconds
        if seen.beats != last.beats:
            self.without_beat_seconds = 0.0
        if seen.progress != last.progress:
            self.without_progress_seconds = 0.0
        if self.without_beat_seconds >= hang_timeout_seconds:
            return Hang("loop", self.without_beat_seconds)
        if self.without_progress_seconds >= hang_timeout_seconds:
            return Hang("threads", self.without_progress_seconds)
        return None
