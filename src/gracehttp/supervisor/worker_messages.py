"""What a worker may say, in the form in which it has to be said (`gracehttp.channel` tells what it means).

A worker of another release may say more: what isn't known here is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass

from gracehttp.channel import Message, UnreadableMessage
from gracehttp.records import UnreadableRecord, from_plain
from gracehttp.supervisor.fleet import FleetSettings
from gracehttp.supervisor.listener_table import ListenRequest


@dataclass(frozen=True, slots=True)
class _Hello:
    versions: list[int]
    settings: FleetSettings
    listeners: list[ListenRequest]


@dataclass(frozen=True, slots=True)
class _Failed:
    message: str
    hint: str
    details: str


@dataclass(frozen=True, slots=True)
class _Stage:
    doing: str


@dataclass(frozen=True, slots=True)
class _Tired:
    reason: str


@dataclass(frozen=True, slots=True)
class _Shed:
    listener: int
    connections: int


@dataclass(frozen=True, slots=True)
class _Code:
    fds: list[int]


@dataclass(frozen=True, slots=True)
class _Answered:
    responses: int
    errors: int


_FORMS: dict[str, type] = {
    "hello": _Hello,
    "code": _Code,
    "failed": _Failed,
    "stage": _Stage,
    "answered": _Answered,
    "tired": _Tired,
    "shed": _Shed,
}


def check_message(message: Message) -> None:
    """Raises `UnreadableMessage` if `message` lacks something that its type must have, or has it in another form."""
    form = _FORMS.get(message["type"])
    if form is None:
        return
    try:
        from_plain(form, message)
    except UnreadableRecord as exc:
        raise UnreadableMessage(f"{message['type']!r}: {exc}") from exc
