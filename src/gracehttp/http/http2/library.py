"""Whether the library ngh2 is there, which carries out the framing of HTTP/2, and what it takes."""

from __future__ import annotations

import functools
import importlib.util
import logging
import sys
from typing import Final

MISSING: Final = (
    "HTTP/2 is asked for, and the package ngh2 is not installed: HTTP/1.1 is spoken alone. "
    "To serve HTTP/2: pip install 'gracehttp[h2]'"
)


@functools.cache
def available() -> bool:
    """Whether HTTP/2 can be spoken. The first call imports the library."""
    try:
        import gracehttp.http.http2.protocol  # noqa: F401  from here on it is imported, and no client waits for it
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "ngh2":
            raise
        return False
    return True


def prepared() -> bool:
    """Whether HTTP/2 can be spoken with what was imported already."""
    return "gracehttp.http.http2.protocol" in sys.modules


def takes_settings(payload: bytes) -> bool:
    """Whether the library goes on from HTTP2-Settings with this payload (RFC 7540 section 3.2.1). It must be there."""
    from gracehttp.http.http2.engine import Engine

    try:
        Engine(1, 1, payload)
    except ValueError:
        return False
    return True


@functools.cache
def installed() -> bool:
    """Whether the library is there. It is not imported."""
    return importlib.util.find_spec("ngh2") is not None


@functools.cache
def tell_missing() -> None:
    """The user asks for HTTP/2, and the library is not installed: say so, once."""
    logging.getLogger("gracehttp").warning(MISSING)
