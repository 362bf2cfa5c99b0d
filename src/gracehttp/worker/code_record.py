"""Which code a worker runs, so that one that starts later can tell whether it runs the same (events.CodeDiffers).

The record lists the files of all modules that were loaded, by the name of the module, since the folder of a release
may change with each deploy. A file counts as changed when its path, its size or its content is another one. The
content counts when only the modification time differs, as after touch(1) or a copy back. So the record, which one
worker of a generation writes, has a checksum of each file; those that compare read only what seems to differ.

What counts is the moment in which a file is imported, since files may change while an application starts. So each
import is noted (`ImportNotes`).
"""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import Any, Self

from gracehttp.net.shared_page import anonymous_file
from gracehttp.values import Value

FileFacts = tuple[str, int, int]
"""Path, size in bytes, modification time in nanoseconds."""

_LARGEST_READ_BYTES = 1 << 20
"""Larger files are extension modules, which would take long to read: their modification time decides."""


def can_record() -> bool:
    """Whether this system has somewhere to write a record."""
    try:
        os.close(anonymous_file("code"))
    except OSError:
        return False
    return True


class Noted(Value):
    """A file as it was imported. `checksum` is None if none was needed, or it could not be had."""

    facts: FileFacts
    checksum: int | None


_ahead: dict[str, Noted] = {}
"""By path: files that were loaded before this process was forked."""


def note_ahead() -> None:
    """Note what is loaded now, so that a process that is forked from this one need not look at those files. To be
    called where a fork is made only while the files are as they were loaded (`worker.forking.loaded`)."""
    found = loaded_files(sys.modules).values()
    _ahead.update({facts[0]: Noted(facts, checksum(facts[0], facts[1])) for facts in found})


class ImportNotes:
    """Notes each source file in the moment in which this process imports it, between `begin()` and `end()`.

    With `record`, the descriptor that another worker has written, it reads what seems to differ from that; without, it
    reads each file, for a record of its own. Those that were imported before count as they were noted then
    (`note_ahead`), else as they are at the end.
    """

    def __init__(self, record: int | None = None) -> None:
        """`record` stays the caller's."""
        self._record = _read(record) if record is not None else None
        self._recorded = {noted.facts[0]: noted for noted in (self._record or {}).values()}
        self._noted: dict[str, Noted] = {}
        self._began_ns = _clock_of_files_ns()
        self._restore: Callable[[], None] = lambda: None

    def begin(self) -> None:
        # The import system calls it for each source file, also if it then uses the compiled one, immediately before
        # it reads (importlib.abc.SourceLoader.path_stats).
        original = SourceFileLoader.path_stats

        def path_stats(loader: SourceFileLoader, path: str) -> Mapping[str, Any]:
            self._note(path)
            return original(loader, path)

        def restore() -> None:
            if SourceFileLoader.path_stats is path_stats:  # a tool of the application may have put its own in place
                SourceFileLoader.path_stats = original  # type: ignore[method-assign]  # the only place to learn it

        SourceFileLoader.path_stats = path_stats  # type: ignore[assignment, method-assign]  # as above
        self._restore = restore

    def end(self) -> None:
        """It may be called again."""
        self._restore()

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()

    def write_record(self) -> int:
        """The record of this process, as a descriptor of memory that is the caller's. Raises `OSError`."""
        record = anonymous_file("code")
        known = self._known()
        with open(record, "w", encoding="utf-8", closefd=False) as file:
            found = {
                name: (*facts, _checksum(facts, known)) for name, facts in loaded_files(sys.modules, known).items()
            }
            file.write(json.dumps(found, separators=(",", ":")))  # json.dump is not in C
        return record

    def changed(self) -> list[str]:
        """The paths of the files that this process has imported otherwise than the one that wrote the record."""
        before: dict[str, FileFacts] = {}
        known = self._known()
        now = loaded_files(sys.modules, known)
        for name, noted in (self._record or {}).items():
            before[name] = noted.facts
            found = now.get(name)
            seems_touched = found is not None and noted.checksum is not None and _seems_touched(noted.facts, found)
            if found is not None and seems_touched and _checksum(found, known) == noted.checksum:
                before[name] = found
        return changed_files(before, now)

    def halves(self) -> list[str]:
        """The paths of the files that changed after this process had imported them, if it has also imported others that
        changed at that time. Then it runs half of one state and half of another. To be called without a record of
        another worker."""
        old, is_new = [], False
        for path, noted in self._noted.items():
            try:
                about = os.stat(path)
            except OSError:
                continue
            if (path, about.st_size, about.st_mtime_ns) == noted.facts:
                is_new |= about.st_ctime_ns >= self._began_ns
            elif checksum(path, about.st_size) != noted.checksum:
                old.append(path)
        return sorted(old) if is_new else []

    def _note(self, path: str) -> None:
        facts = _facts(path)
        if facts is None:
            return
        recorded = self._recorded.get(path)
        wanted = self._record is None or (recorded is not None and _seems_touched(recorded.facts, facts))
        self._noted[path] = Noted(facts, checksum(path, facts[1]) if wanted else None)

    def _known(self) -> dict[str, Noted]:
        return {**_ahead, **self._noted}


def loaded_files(modules: Mapping[str, ModuleType], noted: Mapping[str, Noted] | None = None) -> dict[str, FileFacts]:
    """The files of `modules` (`sys.modules`) by module name: as they were `noted`, else as they are. Modules without a
    file, or whose file is gone, are left out."""
    found: dict[str, FileFacts] = {}
    for name, module in list(modules.items()):
        path = getattr(module, "__file__", None)
        if not isinstance(path, str):
            continue
        facts = noted[path].facts if noted is not None and path in noted else _facts(path)
        if facts is not None:
            found[name] = facts
    return found


def changed_files(before: Mapping[str, FileFacts], now: Mapping[str, FileFacts]) -> list[str]:
    """The paths, as of now, of the modules that both have and that aren't the same, in order.

    A module that only one of them has tells nothing: one of the two may have imported it late.
    """
    return sorted({now[name][0] for name in now.keys() & before.keys() if now[name] != before[name]})


def checksum(path: str, size: int) -> int | None:
    """The CRC-32 of the content of a file; None if it is too large, or can't be read."""
    if size > _LARGEST_READ_BYTES:
        return None
    try:
        with open(path, "rb") as file:
            return zlib.crc32(file.read())
    except OSError:
        return None


def _facts(path: str) -> FileFacts | None:
    try:
        about = os.stat(path)
    except (OSError, ValueError):
        return None
    return path, about.st_size, about.st_mtime_ns


def _checksum(facts: FileFacts, known: Mapping[str, Noted]) -> int | None:
    """The checksum of a file that was loaded with these facts."""
    noted = known.get(facts[0])
    return noted.checksum if noted is not None else checksum(facts[0], facts[1])


def _clock_of_files_ns() -> int:
    """The time that a file has which changes now. Linux stamps files by its tick, up to 10 ms behind the time of day
    (clock_gettime(2), CLOCK_REALTIME_COARSE; 5 in linux/time.h, and in no module of Python)."""
    return time.clock_gettime_ns(5) if sys.platform == "linux" else time.time_ns()


def _seems_touched(before: FileFacts, now: FileFacts) -> bool:
    """Whether nothing but the modification time differs."""
    return now[:2] == before[:2] and now[2] != before[2]


def _read(record: int) -> dict[str, Noted]:
    # All processes that have the descriptor share its offset, so it isn't used (pread(2)).
    text = os.pread(record, os.fstat(record).st_size, 0)
    return {
        name: Noted((path, size, modified), code) for name, (path, size, modified, code) in json.loads(text).items()
    }
