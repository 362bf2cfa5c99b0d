"""The pages on which workers count, and the sum of all of them, those of workers that are gone included."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from gracehttp.net.shared_page import SharedPage, anonymous_file
from gracehttp.net.worker_page import COUNTS, LOADS, PORT_FIELDS, WORKER_LAYOUT
from gracehttp.values import EMPTY, Descriptor, Value

_PORT_COUNTS = slice(1, len(PORT_FIELDS) - 1)  # without the listener and what is idle there


class PagesRecord(Value):
    """The pages by worker, and what the workers that are gone have counted, to go on with in another process."""

    pages: Mapping[int, Descriptor] = EMPTY
    groups: tuple[tuple[str, tuple[int, ...]], ...] = ()
    ports: tuple[tuple[str, tuple[int, ...]], ...] = ()


class Counts:
    """What some workers have counted: words by group, and for each listener those of its ports."""

    def __init__(self, groups: Mapping[str, Iterable[int]] = EMPTY, ports: Mapping[str, Iterable[int]] = EMPTY) -> None:
        self.groups = {name: [0] * WORKER_LAYOUT[name] for name in COUNTS}
        self.ports: dict[str, list[int]] = {}
        for name in COUNTS:
            _add(self.groups[name], groups.get(name, ()))
        for listener, words in ports.items():
            self.add_port(listener, words)

    def add_port(self, listener: str, words: Iterable[int]) -> None:
        _add(self.ports.setdefault(listener, [0] * (len(PORT_FIELDS) - 2)), words)

    def port_count(self, field: str) -> dict[str, int]:
        """One of the counts of `PORT_FIELDS`, by listener."""
        return {listener: words[PORT_FIELDS.index(field) - 1] for listener, words in self.ports.items()}


class WorkerPages:
    """All pages, by worker. Owns their files.

    `name_of` tells what a listener is called, by its number; it must also know those that are closed by now.
    """

    def __init__(self, name_of: Callable[[int], str], record: PagesRecord | None = None) -> None:
        record = record or PagesRecord()
        self._name_of = name_of
        self._files: dict[int, Descriptor] = dict(record.pages)
        self._pages = {worker: SharedPage(file, WORKER_LAYOUT) for worker, file in self._files.items()}
        self._gone = Counts(dict(record.groups), dict(record.ports))

    def carry(self) -> PagesRecord:
        return PagesRecord(
            pages=dict(self._files),
            groups=tuple((name, tuple(words)) for name, words in self._gone.groups.items()),
            ports=tuple((name, tuple(words)) for name, words in self._gone.ports.items()),
        )

    def give(self, worker: int) -> Descriptor:
        """The file of a page for `worker`, which stays ours. Raises `OSError`."""
        if worker not in self._files:
            self._files[worker] = Descriptor(anonymous_file("worker"))
            self._pages[worker] = SharedPage(self._files[worker], WORKER_LAYOUT)
        return self._files[worker]

    def gone(self, worker: int) -> None:
        """The process of `worker` has ended, and writes no more: what it has counted is kept."""
        page = self._pages.pop(worker, None)
        if page is None:
            return
        self._add(self._gone, page)
        page.close()
        os.close(self._files.pop(worker))

    def counts(self) -> Counts:
        """The sum over all workers there have been."""
        total = Counts(self._gone.groups, self._gone.ports)
        for page in self._pages.values():
            self._add(total, page)
        return total

    def state(self, worker: int) -> tuple[int, ...] | None:
        """The words of its `state`; None if it has no page."""
        page = self._pages.get(worker)
        return tuple(page.words("state")) if page is not None else None

    def loads(self) -> dict[int, dict[str, int]]:
        """What stands in `loads`, by worker."""
        return {worker: dict(zip(LOADS, page.words("loads"), strict=True)) for worker, page in self._pages.items()}

    def idle(self) -> dict[str, int]:
        """How many connections are idle, by listener."""
        idle: dict[str, int] = {}
        for page in self._pages.values():
            for number, words in _ports(page):
                name = self._name_of(number)
                idle[name] = idle.get(name, 0) + words[-1]
        return idle

    def close(self) -> None:
        for worker in list(self._pages):
            self.gone(worker)

    def _add(self, total: Counts, page: SharedPage) -> None:
        for name, words in total.groups.items():
            _add(words, page.words(name))
        for number, words in _ports(page):
            total.add_port(self._name_of(number), words[_PORT_COUNTS])


def _ports(page: SharedPage) -> Iterable[tuple[int, list[int]]]:
    """The listeners' numbers, and the words of each."""
    words = list(page.words("ports"))
    for begin in range(0, len(words), len(PORT_FIELDS)):
        if words[begin]:
            yield words[begin] - 1, words[begin : begin + len(PORT_FIELDS)]


def _add(total: list[int], words: Iterable[int]) -> None:
    for at, word in enumerate(words):
        total[at] += word
