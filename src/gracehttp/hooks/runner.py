"""The process that calls the hooks: it reads events from a socket, until that ends."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Mapping, MutableMapping
from types import FrameType

from gracehttp import events
from gracehttp.errors import GraceHTTPError
from gracehttp.events import Event
from gracehttp.hooks.registry import Hook, Hooks, found, name_of
from gracehttp.values import UnreadableValue, from_plain, to_plain
from gracehttp.wire.json_lines import LineBuffer, UnreadableLine, decode_line, encode_line
from gracehttp.wire.lineage import HOOKS_VARIABLE, claim_socket
from gracehttp.wire.signals import SIGNALS

_LOGGER = logging.getLogger("gracehttp")
_READ_BYTES = 65536


def claim_events(environ: MutableMapping[str, str]) -> socket.socket | None:
    """The socket on which events come, in the process that calls the hooks; None in any other."""
    return claim_socket(environ, HOOKS_VARIABLE)


def write(event: Event) -> bytes:
    """One event as a line."""
    return encode_line({"event": type(event).__name__, "fields": to_plain(event)})


def read(line: bytes) -> Event | None:
    """The event in a line; None if this release doesn't know it."""
    try:
        plain = decode_line(line)
        kind = getattr(events, str(plain.get("event")), None)
        if not (isinstance(kind, type) and issubclass(kind, Event)):
            return None
        return from_plain(kind, plain.get("fields"))
    except (UnreadableLine, UnreadableValue):
        return None


def run_hooks(sock: socket.socket, hooks: Hooks, app_dir: str) -> int:
    """Call the hooks for each event, one after the other. Returns the exit status when no more events come."""
    for number in SIGNALS:  # they are for the supervisor, also those that a terminal sends to the whole process group
        signal.signal(number, _do_nothing)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    functions: dict[str, Hook | None] = {}
    for name in hooks.named:
        _imported(name, app_dir, functions)
    lines = LineBuffer()
    with sock:
        sock.setblocking(True)
        while data := sock.recv(_READ_BYTES):
            for line in lines.feed(data):
                event = read(line)
                if event is not None:
                    for hook in hooks.of(event):
                        _call(hook, event, app_dir, functions)
    return 0


def _call(hook: Hook | str, event: Event, app_dir: str, functions: MutableMapping[str, Hook | None]) -> None:
    function = _imported(hook, app_dir, functions) if isinstance(hook, str) else hook
    if function is None:
        return
    try:
        function(event)
    except (Exception, SystemExit) as exc:  # noqa: BLE001  foreign code, and the other hooks go on
        _tell(name_of(function), exc)


def _imported(hook: str, app_dir: str, functions: MutableMapping[str, Hook | None]) -> Hook | None:
    """None if it can't be imported, which is told once."""
    if hook not in functions:
        functions[hook] = None
        try:
            functions[hook] = found(hook, app_dir)
        except (Exception, SystemExit) as exc:  # noqa: BLE001  as above
            _tell(hook, exc)
    return functions[hook]


def _tell(name: str, error: BaseException) -> None:
    fields: Mapping[str, object] = {"hook": name, "error": type(error).__name__}
    if isinstance(error, GraceHTTPError):
        hint = f" Hint: {error.hint}" if error.hint else ""
        details = f"\n{error.details.rstrip()}" if error.details else ""
        _LOGGER.error("%s%s%s", error.message, hint, details, extra={"fields": fields})
        return
    _LOGGER.error(
        "the hook %s raised %s: %s", name, type(error).__name__, error, exc_info=error, extra={"fields": fields}
    )


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    return
