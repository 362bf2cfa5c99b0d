"""All generations side by side: which one serves, which is coming, which stands by. Pure; changes nothing."""

from __future__ import annotations

from gracehttp.supervisor.fleet.generation import Generation
from gracehttp.supervisor.fleet.states import COMING, GenerationState, WorkerState


class Generations(dict[int, Generation]):
    """Generations by number."""

    def in_state(self, *states: GenerationState) -> list[Generation]:
        return [one for one in self.values() if one.state in states]

    def _find(self, *states: GenerationState) -> Generation | None:
        return next(iter(self.in_state(*states)), None)

    @property
    def serving(self) -> Generation | None:
        return self._find(GenerationState.SERVING)

    @property
    def coming(self) -> Generation | None:
        """The generation that is on its way to serve."""
        return self._find(*COMING)

    @property
    def standing_by(self) -> Generation | None:
        """The generation that serves again if the one that serves fails its probation."""
        return self._find(GenerationState.STANDING_BY)

    @property
    def fallback(self) -> Generation | None:
        """The generation that stands by, if it has a worker left that can serve again."""
        one = self.standing_by
        return one if one is not None and one.in_state(WorkerState.STANDING_BY) else None

    @property
    def next_deadline(self) -> float | None:
        """The earliest time at which something is due; None: never, as things stand."""
        return min((at for one in self.values() for at in one.deadlines()), default=None)

    def of_worker(self, worker: int) -> Generation | None:
        return next((one for one in self.values() if worker in one.workers), None)
