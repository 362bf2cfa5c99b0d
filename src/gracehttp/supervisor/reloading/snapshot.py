"""The content of the files that count, to tell what has changed: a file that is written again as it was has not.

So a program that generates code at each start, or a checkout there and back, causes no restart.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence

from gracehttp.supervisor.reloading.selection import Selection

_ENVIRONMENT = "pyvenv.cfg"
"""A folder with this file is a virtual environment (PEP 405): what is installed there is no code of the user's."""


class Snapshot:
    """What is in the files of `folders`, which must be absolute, at the last look."""

    def __init__(self, folders: Sequence[str], selection: Selection) -> None:
        self._folders = folders
        self._selection = selection
        self._known: dict[str, bytes] = {}

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
        changed = []
        for path in sorted(paths):
            digest = _digest(path)
            if digest == self._known.get(path):
                continue
            changed.append(path)
            if digest is None:
                del self._known[path]
            else:
                self._known[path] = digest
        return changed

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
                for name in files:
                    yield from self._if_it_counts(os.path.join(folder, name))

    def _is_entered(self, folder: str) -> bool:
        relative = self.relative(folder)
        excluded = bool(relative) and self._selection.excludes(relative)
        return not excluded and not os.path.exists(os.path.join(folder, _ENVIRONMENT))


def _digest(path: str) -> bytes | None:
    """Of the content of a file; None if there is none that can be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "blake2b").digest()
    except OSError:
        return None
