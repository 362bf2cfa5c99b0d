"""The stop of the service: from the request, over the stop delay, to the end of the last generation. Pure."""

from __future__ import annotations

from gracehttp.supervisor.fleet.commands import AnnounceStop, Finish, StopAdmitting
from gracehttp.supervisor.fleet.generations import Generations
from gracehttp.supervisor.fleet.states import IN_USE, GenerationState
from gracehttp.supervisor.fleet.turn import Turn
from gracehttp.wire.messages import DrainReason

SAME_STOP_SECONDS = 0.2
"""Stop signals this close together are one: a program that signals a process group often signals its leader as well.

The second one comes from a program that passes it on (timeout(1), a runner). On a busy machine it may be tens of
milliseconds late, and it would cut requests. A person who presses twice within that time has only to press again."""


class Stop:
    """At most one. It is `requested`, has begun when the stop delay is over, and may be `forced` at any time."""

    def __init__(self, generations: Generations) -> None:
        self._generations = generations
        self.requested = False
        self.began = False
        self.forced = False
        self.begins_at: float | None = None
        """While the stop delay lasts: when it is over."""
        self._requested_at = 0.0
        self._finished = False

    def forces(self, force: bool, now: float) -> bool:
        """Whether a request to stop at `now` ends the service by force.

        It does if it says so or is the second one, unless the service is at its end already.
        """
        second = self.requested and now - self._requested_at > SAME_STOP_SECONDS
        return (force or second) and not self._finished

    def request(self, force: bool, drain_timeout_seconds: float | None, turn: Turn) -> None:
        """The service must stop: after the stop delay, or at once if `drain_timeout_seconds` are given, or by force."""
        forces = self.forces(force, turn.now)
        if self.requested and not forces:
            return
        if not self.requested:
            self._announce(turn, forced=forces)
        serving = self._generations.serving
        if forces:
            self._admit_no_more(turn)
            self._kill_all(turn)
        elif drain_timeout_seconds is None and serving is not None and serving.settings.stop_delay_seconds:
            self.begins_at = turn.now + serving.settings.stop_delay_seconds
            turn.add(AnnounceStop(serving.settings.stop_delay_seconds))
        else:
            self._begin(drain_timeout_seconds, turn)

    def time_passed(self, turn: Turn) -> None:
        """Begin if the stop delay is over."""
        if self.begins_at is not None and self.begins_at <= turn.now:
            self._begin(None, turn)

    def finish(self, turn: Turn) -> None:
        """Nothing is left of any generation."""
        if not self._finished:
            self._finished = True
            turn.add(Finish(could_start=self.requested, forced=self.forced))

    def _announce(self, turn: Turn, *, forced: bool) -> None:
        self.requested = True
        self._requested_at = turn.now
        if (serving := self._generations.serving) is not None:
            # An announcement may open ports to new connections, so it comes before they are closed.
            serving.announce(turn)
            serving.end_probation(turn, passed=False, reason="the service was told to stop")
        if (coming := self._generations.coming) is not None:
            coming.give_up("the service was told to stop", turn, forced=forced)

    def _begin(self, drain_timeout_seconds: float | None, turn: Turn) -> None:
        self._admit_no_more(turn)
        self._drain_all(drain_timeout_seconds, turn)

    def _admit_no_more(self, turn: Turn) -> None:
        self.begins_at = None
        if not self.began:
            self.began = True
            turn.add(StopAdmitting())

    def _drain_all(self, timeout_seconds: float | None, turn: Turn) -> None:
        draining = self._generations.in_state(GenerationState.DRAINING)
        for generation in self._generations.in_state(*IN_USE):
            generation.drain(DrainReason.STOP, turn, timeout_seconds=timeout_seconds)
        # These keep their deadlines, but close idle connections soon: there is no successor that could take them.
        for generation in draining:
            generation.drain_again(DrainReason.STOP, turn, timeout_seconds=timeout_seconds)

    def _kill_all(self, turn: Turn) -> None:
        self.forced = True
        for generation in self._generations.values():
            if generation.state in IN_USE:
                generation.leave(GenerationState.DRAINING, turn)
            generation.kill_all("a forced stop", turn)
