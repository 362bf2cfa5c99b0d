"""Durations and sizes as people write them. Pure."""

from __future__ import annotations

import math
import re

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

_NUMBER = r"\d+(?:\.\d+)?"
_DURATION = re.compile(
    rf"(?:({_NUMBER})d)?(?:({_NUMBER})h)?(?:({_NUMBER})m)?(?:({_NUMBER})s)?(?:({_NUMBER})ms)?", re.ASCII
)
_SIZE = re.compile(rf"({_NUMBER})([kmg]?)(?:i?b)?", re.ASCII)


def parse_duration(text: str) -> float:
    """The seconds of `500ms`, `30s`, `1m30s`, `2h`; a plain number is seconds.

    Raises `ValueError` when `text` is none of these; nothing is negative or infinite.
    """
    bare = text.strip().lower()
    if re.fullmatch(_NUMBER, bare, re.ASCII):
        return float(bare)
    match = _DURATION.fullmatch(bare)
    if match is None or not bare:
        raise ValueError(text)
    parts = zip(match.groups(), _SECONDS.values(), strict=True)
    # The sum is rounded to what can be written, so that 1.1s100ms is 1.2 and not 1.2000000000000002.
    return round(math.fsum(float(number) * unit for number, unit in parts if number), 9)


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads as `seconds`, as far as whole milliseconds go."""
    left = round(seconds * 1000)
    if left == 0 or not math.isclose(left / 1000, seconds, rel_tol=0, abs_tol=1e-9):
        return f"{seconds:g}s"
    parts = []
    for unit, milliseconds in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, milliseconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def parse_size(text: str) -> int:
    """The bytes of `64k`, `10M`, `1.5G`, `512`; a unit is a power of 1024, and `10MB` and `10MiB` are `10M`.

    Raises `ValueError` when `text` is none of these, or no whole number of bytes.
    """
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(text)
    size = float(match[1]) * _BYTES[match[2]]
    if not size.is_integer():
        raise ValueError(text)
    return int(size)


def format_size(size: int) -> str:
    """The shortest text that `parse_size` reads as `size`."""
    for letter, unit in (("G", 1 << 30), ("M", 1 << 20), ("k", 1 << 10)):
        if size and size % unit == 0:
            return f"{size // unit}{letter}"
    return str(size)
