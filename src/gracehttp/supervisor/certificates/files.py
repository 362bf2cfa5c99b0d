"""Reads certificates and keys as root, for workers that run as another user and may not read them.

Workers say which files they need, and one that was taken over must not get /etc/shadow for saying so. So only files are
read that the supervisor's own options name, and none whose path the user of the workers could turn to another file.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection, Iterable
from typing import Final

from gracehttp.net.shared_page import anonymous_file
from gracehttp.system.credentials import Credentials

MOST_BYTES: Final = 4 * 1024 * 1024
"""The most that is read of one file. Lists of revoked certificates are the longest."""
_MOST_LINKS: Final = 40
"""As many as the kernel follows (path_resolution(7))."""


class FilesForWorkers:
    """`paths`, absolute, are the files that may be read for workers with these `credentials`."""

    def __init__(self, paths: Collection[str], credentials: Credentials) -> None:
        self._paths = frozenset(paths)
        self._credentials = credentials

    def read(self, paths: Iterable[str]) -> int | None:
        """What is in the files now, as a descriptor of memory that is the caller's to close, in the form of
        `messages.TakeCertificates`. A file is left out that can't be read, or may not: the worker reads it itself, and
        says what is wrong. None if there is no memory to be had, or nothing to tell."""
        contents = {path: self._content(path) for path in paths if path in self._paths}
        found = {path: content.decode("latin-1") for path, content in contents.items() if content is not None}
        if not found:
            return None
        try:
            memory = anonymous_file("certificates")
        except OSError:
            return None
        with open(memory, "w", encoding="utf-8", closefd=False) as file:
            json.dump(found, file)
        return memory

    def _content(self, path: str) -> bytes | None:
        try:
            if changeable_by(self._credentials, path):
                return None
            with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    return None
                content = file.read(MOST_BYTES + 1)
        except OSError:
            return None
        return content if len(content) <= MOST_BYTES else None


def changeable_by(credentials: Credentials, path: str) -> bool:
    """Whether that user could put another file at the absolute `path`: in a folder on the way, or by a link there, that
    it may change. Raises `OSError`."""
    at, parts, links = "/", path.split("/")[::-1], 0
    while parts:
        name = parts.pop()
        if name in ("", "."):
            continue
        folder = os.lstat(at)
        owns, may_write = folder.st_uid == credentials.uid, _may_write(credentials, folder)
        if owns or (may_write and not folder.st_mode & stat.S_ISVTX):
            return True
        if name == "..":
            at = os.path.dirname(at)
            continue
        entry = os.path.join(at, name)
        found = os.lstat(entry)
        if may_write and found.st_uid == credentials.uid:  # in a sticky folder its owner alone can replace it
            return True
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _MOST_LINKS:
                return True
            target = os.readlink(entry)
            parts += target.split("/")[::-1]
            at = "/" if target.startswith("/") else at
        else:
            at = entry
    return False


def _may_write(credentials: Credentials, found: os.stat_result) -> bool:
    in_group = found.st_gid == credentials.gid or found.st_gid in credentials.groups
    return bool(found.st_mode & stat.S_IWOTH or (in_group and found.st_mode & stat.S_IWGRP))
