"""What starts the workers of each generation, and which links have moved since."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from gracehttp.events import Event, LinkMoved, ReleaseGone
from gracehttp.supervisor.processes.command_line import CommandLine, Launch


class Launches:
    """One `Launch` for each generation: found when its first worker starts, and the same for all that start later."""

    def __init__(
        self,
        command_line: CommandLine,
        publish: Callable[[Event], None],
        carried: Mapping[int, Launch] | None = None,
    ) -> None:
        """`carried` are those of another process."""
        self._command_line = command_line
        self._publish = publish
        self._launches = dict(carried or {})
        self._targets = {link: os.path.realpath(link) for link in _followed(command_line)}

    def carry(self) -> dict[int, Launch]:
        return dict(self._launches)

    def of(self, generation: int, worker: int) -> Launch:
        """What to start `worker` with. If a folder of its generation was removed, that is told, and the worker starts
        from where the names lead now."""
        launch = self._launches.get(generation)
        if launch is None:
            launch = self._launches[generation] = self._command_line.launch()
            return launch
        missing = launch.missing()
        if not missing:
            return launch
        now = self._command_line.launch()
        instead = "" if now.missing() else now.directory
        self._publish(ReleaseGone(generation, worker, missing, instead))
        return now

    def forget(self, generation: int) -> None:
        """The generation is gone."""
        self._launches.pop(generation, None)

    def tell_moved_links(self) -> None:
        """Tell which links lead elsewhere than at the last call, or the start."""
        for link, before in self._targets.items():
            now = os.path.realpath(link)
            if now != before:
                self._targets[link] = now
                stays = self._command_line.directory if link == self._command_line.unnamed_link else ""
                self._publish(LinkMoved(link, before, now, stays))


def _followed(command_line: CommandLine) -> list[str]:
    unnamed = command_line.unnamed_link
    return [*command_line.links, *([unnamed] if unnamed else [])]
