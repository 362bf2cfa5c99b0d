"""Health checks that the server answers itself, before the application hears of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gracehttp.config import ProcessOptions
from gracehttp.http.exchange import Exchange, RequestFinished, RequestHandler
from gracehttp.http.handler import Handler
from gracehttp.http.head import RequestHead, RequestLine

if TYPE_CHECKING:
    from gracehttp.http.websocket.session import WebSocketSession

_OK: Final = (200, b"ok\n")
_ALLOWED: Final = ("GET", "HEAD")


@dataclass(slots=True)
class Health:
    """What a worker knows of the service: `lives` is False when its supervisor is gone, `stops` True when the service
    was told to stop. A worker that drains for a restart answers for those that serve: neither changes."""

    lives: bool = True
    stops: bool = False

    def live(self) -> tuple[int, bytes]:
        """The answer to the live path: status and body."""
        return _OK if self.lives else (503, b"the supervisor is gone\n")

    def ready(self) -> tuple[int, bytes]:
        """The answer to the ready path."""
        return (503, b"stopping\n") if self.stops else _OK


Answers = Mapping[str, Callable[[], tuple[int, bytes]]]
"""By path."""


def answers_on_ports(health: Health, options: ProcessOptions, *, supervisor_answers: bool = True) -> Answers:
    """What is answered at which paths of every port. None where the supervisor answers, at an address of its own: if
    the options say so, and it has one. A supervisor keeps for its life what it has."""
    if options.admin is not None and supervisor_answers:
        return {}
    both = ((options.live_path, health.live), (options.ready_path, health.ready))
    return {path: answer for path, answer in both if path is not None}


class Probed(RequestHandler):
    """A `Handler` that answers health checks, and gives every other request to `application`.

    It stands before an application only where there are such paths, so that it costs nothing elsewhere.
    """

    def __init__(self, application: Handler, paths: Answers) -> None:
        self._handle = application.handle
        self._paths = paths
        self.handle_websocket: Callable[[WebSocketSession], None] | None = application.handle_websocket

    def handle(self, exchange: Exchange) -> None:
        answer = self._paths.get(_path_of(exchange.head.line))
        if answer is None:
            self._handle(exchange)
            return
        fields = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
        if exchange.head.method in _ALLOWED:
            status, body = answer()
        else:
            status, body = 405, b"a health check is GET or HEAD\n"
            fields.append((b"allow", b"GET, HEAD"))
        fields.append((b"content-length", str(len(body)).encode()))
        exchange.start_response(status, fields)
        exchange.write(body, False)
        exchange.end()


def without_probes(observer: RequestFinished | None, paths: Answers) -> RequestFinished | None:
    """`observer`, if there is one, which hears nothing of health checks."""
    if observer is None or not paths:
        return observer

    def tell(head: RequestHead, status: int, body_bytes: int, seconds: float) -> None:
        if head.refused or _path_of(head.line) not in paths:
            observer(head, status, body_bytes, seconds)

    return tell


def _path_of(line: RequestLine) -> str:
    """The path as the client sent it: a health check doesn't come through the proxy that cuts a path off."""
    return line.path.removeprefix(line.root_path)
