"""Which code a worker runs, so that one that starts later can tell whether it runs the same (events.CodeDiffers).

The record lists the files of all modules that were loaded, by the name of the module, since the folder of a release
may change with each deploy. A file counts as changed when its path, its size or its content is another one. The
content counts when only the modification time differs, as after touch(1) or a copy back. So the record, which one
worker of a generation writes, has a checksum of each file; those that compare read only what seems to differ.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Mapping
from types import ModuleType

from gracehttp.net.shared_page import anonymous_file

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


def loaded_files(modules: Mapping[str, ModuleType]) -> dict[str, FileFacts]:
    """The files of `modules` (`sys.modules`) by module name. Modules without a file, or whose file is gone, are left
    out."""
    found: dict[str, FileFacts] = {}
    for name, module in list(modules.items()):
        path = getattr(module, "__file__", None)
        if not isinstance(path, str):
            continue
        try:
            about = os.stat(path)
        except (OSError, ValueError):
            continue
        found[name] = (path, about.st_size, about.st_mtime_ns)
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


def write_record() -> int:
    """The record of this process, as a descriptor of memory that is the caller's. Raises `OSError`."""
    facts = {name: (*found, checksum(found[0], found[1])) for name, found in loaded_files(sys.modules).items()}
    record = anonymous_file("code")
    with open(record, "w", encoding="utf-8", closefd=False) as file:
        json.dump(facts, file, separators=(",", ":"))
    return record


def changed_since(record: int) -> list[str]:
    """The paths of the files that this process has loaded otherwise than the one that wrote `record`, which stays the
    caller's."""
    # All processes that have the descriptor share its offset, so it isn't used (pread(2)).
    text = os.pread(record, os.fstat(record).st_size, 0)
    before: dict[str, FileFacts] = {}
    now = loaded_files(sys.modules)
    for name, (path, size, modified, recorded) in json.loads(text).items():
        before[name] = (path, size, modified)
        found = now.get(name)
        seems_touched = found is not None and found[:2] == (path, size) and found[2] != modified
        if seems_touched and recorded is not None and checksum(path, size) == recorded:
            before[name] = now[name]
    return changed_files(before, now)
