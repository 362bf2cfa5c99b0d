"""The links that name releases, as they led when the generation of this process began.

A path such as /srv/current/gracehttp.toml leads elsewhere after the next deploy. A worker that is started later, for a
generation that serves already, must read what its generation has read. The supervisor tells it in a variable which link
led where (`supervisor.processes.command_line`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, MutableMapping

LINKS_VARIABLE = "GRACEHTTP_RELEASE_LINKS"
"""JSON: the folder that each link led to, by the path of the link."""


def claim_links(environ: MutableMapping[str, str]) -> Mapping[str, str]:
    """The links in `environ`. The variable is removed: it is for this process alone."""
    try:
        links = json.loads(environ.pop(LINKS_VARIABLE, "{}"))
    except ValueError:
        return {}
    return {str(link): str(target) for link, target in links.items()} if isinstance(links, dict) else {}


_LINKS = dict(claim_links(os.environ))


def look_up_links_again(environ: MutableMapping[str, str]) -> None:
    """Take those in `environ` for the links of this process: it was forked from one that knew others."""
    _LINKS.clear()
    _LINKS.update(claim_links(environ))


def as_released(path: str, links: Mapping[str, str] = _LINKS) -> str:
    """The absolute `path` with the link that it leads through replaced by where that led; `path` if there is none."""
    through = [link for link in links if is_within(path, link)]
    if not through:
        return path
    link = max(through, key=len)
    return links[link] + path[len(link) :]


def is_within(path: str, folder: str) -> bool:
    """Whether the absolute `path` is `folder`, or begins with it. Looks at the names alone."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
