"""What the log may do beyond text: colors and links. Pure."""

from __future__ import annotations

from collections.abc import Mapping

_NONE = ("dumb",)
_WITHOUT_LINKS = ("dumb", "linux")
"""The console of Linux shows a part of a link as text (console_codes(4))."""


def shows_colors(environ: Mapping[str, str], *, terminal: bool) -> bool:
    """Whether to write colors. NO_COLOR (https://no-color.org) comes first, then FORCE_COLOR, as for Python itself."""
    if environ.get("NO_COLOR"):
        return False
    if forced := environ.get("FORCE_COLOR"):
        return forced not in ("0", "false")
    return terminal and environ.get("TERM") not in _NONE


def shows_links(environ: Mapping[str, str], *, terminal: bool) -> bool:
    """Whether to write links (OSC 8). A terminal that doesn't know them shows their text, which is the URL."""
    return terminal and environ.get("TERM") not in _WITHOUT_LINKS


def link(url: str) -> str:
    """The text `url` as a link to itself (OSC 8, "Hyperlinks in Terminal Emulators")."""
    return f"\x1b]8;;{url}\x1b\\{url}\x1b]8;;\x1b\\"
