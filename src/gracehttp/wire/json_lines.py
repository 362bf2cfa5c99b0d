"""JSON objects as lines: the framing of the channel and of the control socket. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class UnreadableLine(ValueError):
    """The line is not a JSON object."""


class LineBuffer:
    """Puts lines together from bytes that come in pieces. `rest` is the line whose end has not come yet."""

    def __init__(self, rest: bytes = b"") -> None:
        self.rest = rest

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they came; returns the lines that are whole now, without their ends."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        return lines


def encode_line(plain: Mapping[str, Any]) -> bytes:
    """One JSON object as a line, with its end."""
    return json.dumps(plain, separators=(",", ":")).encode() + b"\n"


def decode_line(line: bytes) -> dict[str, Any]:
    """The JSON object in a line. Raises `UnreadableLine`."""
    try:
        plain = json.loads(line)
    except RecursionError as exc:
        raise UnreadableLine("it is nested too deeply") from exc
    except ValueError as exc:
        raise UnreadableLine(str(exc)) from exc
    if not isinstance(plain, dict):
        raise UnreadableLine("it is no JSON object")
    return plain
