"""What a scene gets, and what it must have."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..figures import Figure
from ..peers import INTERFACES, Contender, Interface, Needs, Work
from ..server import Server
from ..session import ROOT, BenchmarkFailed, Session


@dataclass(frozen=True)
class Settings:
    """What the command line has chosen."""

    rounds: int = 5
    seconds: int = 1
    connections: int = 64
    runs: int = 1
    restarts: int = 3
    first: bool = False
    access_log: bool = False
    restart_cores: Sequence[int] | None = None
    interfaces: Sequence[Interface] = INTERFACES
    verbose: bool = False


@dataclass
class Notes:
    """What isn't a figure: the commands that were run, and what failed, by scene and server."""

    commands: dict[str, dict[str, str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    session: Session
    contenders: Sequence[Contender]
    settings: Settings
    notes: Notes

    def who(self, work: Work, interface: Interface, needs: Needs) -> list[Contender]:
        """Those that take part; each name once."""
        if interface not in self.settings.interfaces:
            return []
        return [one for one in self.contenders if one.takes_part(work, interface, needs)]

    def start(
        self,
        part: Session,
        scene: Scene,
        contender: Contender,
        work: Work,
        needs: Needs,
        *,
        cores: Sequence[int] | None = None,
        folder: Path = ROOT,
    ) -> Server:
        """Start a server and note its command. It may not be ready yet."""
        interface: Interface = contender.peer.interface if contender.peer else "asgi"
        app = work.application(interface) or ""
        written = self.notes.commands.setdefault(f"{scene.number} {interface}", {})
        written[contender.name] = contender.command(app, needs)
        return contender.start(part, work, needs, first=self.settings.first or needs.first, cores=cores, folder=folder)

    def failed(self, scene: Scene, name: str, why: BenchmarkFailed | str) -> None:
        """One server can't be measured in one scene; the others go on."""
        lines = [line.strip() for line in f"{why}".splitlines() if line.strip()] or ["no reason"]
        said = " ... ".join(dict.fromkeys((lines[0], lines[-1])))  # what failed, and the end of a log
        self.notes.failures.append(f"scene {scene.number}, {name}: {said}")
        self.say(f"{scene.number}: {name} FAILED: {why}")

    def say(self, text: str) -> None:
        if self.settings.verbose or sys.stderr.isatty():
            print(text, file=sys.stderr, flush=True)


class Scene(Protocol):
    """`title` is one line, `measures` tells what is measured and how."""

    @property
    def number(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def measures(self) -> str: ...

    @property
    def served(self) -> Work:
        """What the servers serve; where a file belongs to it, `run` adds that."""
        ...

    @property
    def needs(self) -> Needs:
        """What the commands have beyond the documented ones."""
        ...

    def run(self, bench: Bench) -> Iterable[Figure]:
        """Raises `BenchmarkFailed` if no server can be measured."""
        ...
