"""Symbolic links to folders, as deploys turn them: which are on the way to a path, and which have moved."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping

from gracehttp.config.release_links import is_within

_MOST_ENTRIES = 1000
"""How many entries of a folder are looked at for a link."""


def links_on(path: str, directory: str) -> dict[str, str]:
    """The links to folders that are on the way to `path`, and where they lead. A relative one begins in `directory`."""
    whole = os.path.normpath(os.path.join(directory, path))
    if not os.path.isabs(whole):
        return {}
    found = {}
    for one in itertools.takewhile(os.path.lexists, _prefixes(whole)):
        if os.path.islink(one) and os.path.isdir(one):
            found[one] = os.path.realpath(one)
    return found


def resolved_folder(path: str) -> str:
    """`path` with the links on the way to its folder resolved. The last name stays, since the interpreter of a virtual
    environment is a link itself (pyvenv.cfg stands beside it). A relative path stays as it is."""
    if not os.path.isabs(path):
        return path
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)


def name_through(path: str, links: Mapping[str, str]) -> str:
    """`path` by the name of a link, if it is in the folder that the link leads to, and not named by one already."""
    if not os.path.isabs(path) or names_folders(path, links):
        return path
    through = [link for link, target in links.items() if target != "/" and is_within(path, target)]
    if not through:
        return path
    link = max(through, key=lambda one: len(links[one]))
    return link + path[len(links[link]) :]


def names_folders(path: str, links: Mapping[str, str]) -> bool:
    """Whether `path` goes through one of `links`."""
    return any(is_within(path, link) for link in links)


def unnamed_link(directory: str) -> str:
    """A link beside one of the folders on the way to `directory` that leads to it or to one of these folders; "" if
    there is none. It may be how the service manager came here, which no name tells."""
    if not directory:
        return ""
    folders = [one for one in _prefixes(os.path.normpath(directory)) if one != "/"]
    for folder in reversed(["/", *folders[:-1]]):
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in itertools.islice(entries, _MOST_ENTRIES):
                if entry.is_symlink() and os.path.realpath(entry.path) in folders:
                    return entry.path
    return ""


def _prefixes(path: str) -> Iterator[str]:
    """`/`, `/srv`, `/srv/current` of `/srv/current`."""
    yield "/"
    parts = path.strip("/").split("/")
    for end in range(1, len(parts) + 1):
        yield "/" + "/".join(parts[:end])
