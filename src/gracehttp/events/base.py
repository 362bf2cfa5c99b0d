"""What every fact is, and the words that several have in common."""

from __future__ import annotations

import enum
from typing import ClassVar

from gracehttp.values import Value


class Severity(enum.Enum):
    """How much a fact matters to the person who runs the service."""

    DEBUG = "debug"
    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    ERROR = "error"


class Event(Value):
    """One fact. `str(event)` is its sentence; the fields are its data."""

    severity: ClassVar[Severity] = Severity.INFO


def counted(number: int, what: str) -> str:
    """`1 connection`, `2 connections`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def with_details(sentence: str, details: str) -> str:
    return f"{sentence}\n{details}" if details else sentence
