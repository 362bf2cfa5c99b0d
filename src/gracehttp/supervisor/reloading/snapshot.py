"""The content of the files that count, to tell what has changed: a file that is written again as it was has not.

So a program that generates code at each start, or a checkout there and back, causes no restart.

A file whose metadata (stat(2)) is as it was is not read again. Two writes may leave the same metadata, if they are so
close that a timestamp of the file system doesn't tell them apart. So a file is read at each look until its content was
read `COARSEST_TIMESTAMP_SECONDS` after its metadata was first seen: a later write has another timestamp.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from gracehttp.supervisor.reloading.selection import Selection

COARSEST_TIMESTAMP_SECONDS = 2.0
"""Of the file systems in use: FAT's. Others tell a second, a tick of the kernel, or less."""
_ENVIRONMENT = "pyvenv.cfg"
"""A folder with this file is a virtual environment (PEP 405): what is installed there is no code of the user's."""


class _Known:
    """A file at the last look. Of `metadata`, which was first seen at `since`, `content` is `settled` or may change."""

    __slots__ = ("content", "metadata", "settled", "since")

    def __init__(self, metadata: tuple[int, ...], since: float) -> None:
        self.content: bytes | None = None
        self.metadata = metadata
        self.since = since
        self.settled = False


class Snapshot:
    """What is in the files of `folders`, which must be absolute, at the last look.

    `clock` is monotonic, in seconds.
    """

    def __init__(
        self, folders: Sequence[str], selection: Selection, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folders = folders
        self._selection = selection
        self._clock = clock
        self._known: dict[str, _Known] = {}

    def __len__(self) -> int:
        """How many files there are."""
        return len(self._known)

    def look(self) -> list[str]:
        """Look at all files; returns those that have changed since the last look. Of the first look, all of them."""
        found = set(self._below(self._folders))
        return self._changed(found | self._known.keys())

    def look_at(self, paths: Iterable[str]) -> list[str]:
        """Look at `paths`, files or folders of which something was heard; returns the files that have changed."""
        concerned: set[str] = set()
        for path in paths:
            concerned.update(self._below([path]) if os.path.isdir(path) else self._if_it_counts(path))
            if path not in self._known:  # it may have been a folder
                concerned.update(known for known in self._known if known.startswith(path + os.sep))
        return self._changed(concerned)

    def _changed(self, paths: Iterable[str]) -> list[str]:
        return [path for path in sorted(paths) if self._has_changed(path)]

    def _has_changed(self, path: str) -> bool:
        now = self._clock()  # before the metadata, which is at least as new
        known = self._known.get(path)
        before = known.content if known is not None else None
        metadata = _metadata(path)
        if metadata is None:
            self._known.pop(path, None)
            return known is not None
        if known is None or known.metadata != metadata:
            known = _Known(metadata, now)
        elif known.settled:
            return False
        known.content = _digest(path)
        if known.content is None:
            self._known.pop(path, None)
        else:
            known.settled = now - known.since > COARSEST_TIMESTAMP_SECONDS
            self._known[path] = known
        return known.content != before

    def _if_it_counts(self, path: str) -> list[str]:
        relative = self.relative(path)
        return [path] if relative and self._selection.takes(relative) and not self._installed(path) else []

    def relative(self, path: str) -> str:
        """`path` below the watched folder; empty if it is in none."""
        inside = [os.path.relpath(path, one) for one in self._folders if path.startswith(one.rstrip(os.sep) + os.sep)]
        return min(inside, key=len, default="")

    def _installed(self, path: str) -> bool:
        """Whether a folder between the watched one and `path` is a virtual environment."""
        folder = os.path.dirname(path)
        while self.relative(folder):
            if os.path.exists(os.path.join(folder, _ENVIRONMENT)):
                return True
            folder = os.path.dirname(folder)
        return False

    def _below(self, folders: Iterable[str]) -> Iterator[str]:
        for top in folders:
            if (relative := self.relative(top)) and (self._selection.excludes(relative) or self._installed(top + "/")):
                continue
            for folder, names, files in os.walk(top):
                names[:] = [name for name in names if self._is_entered(os.path.join(folder, name))]
                inside = os.path.dirname(self.relative(os.path.join(folder, "any")))
                for name in files:
                    if self._selection.takes(os.path.join(inside, name)):
                        yield os.path.join(folder, name)

    def _is_entered(self, folder: str) -> bool:
        relative = self.relative(folder)
        excluded = bool(relative) and self._selection.excludes(relative)
        return not excluded and not os.path.exists(os.path.join(folder, _ENVIRONMENT))


def _metadata(path: str) -> tuple[int, ...] | None:
    """What is another one when a file was written or replaced; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _digest(path: str) -> bytes | None:
    """Of the content of a file; None if there is none that can be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "blake2b").digest()
    except OSError:
        return None
