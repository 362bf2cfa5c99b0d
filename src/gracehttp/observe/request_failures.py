"""What an application did wrong with a request, in the log; and how the log names a request and its client."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from gracehttp.observe.formatters import escaped
from gracehttp.observe.loggers import LOGGER
from gracehttp.observe.tracebacks import application_frames

_told_corrections: set[str] = set()

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


class LoggedRequest(Protocol):
    """What a log needs to know of the head of a request. `http.exchange.RequestHead` is one."""

    @property
    def method(self) -> str: ...

    @property
    def target(self) -> bytes: ...

    @property
    def client(self) -> tuple[str, int] | None: ...

    @property
    def close_code(self) -> int | None:
        """How the WebSocket ended that the request asked for. Asked only of requests with status 101."""


def log_application_failure(head: LoggedRequest, error: BaseException) -> None:
    """Log that the application raised `error` for this request, with its own frames of the traceback; or what it did
    otherwise, if the server made the error of that."""
    exc_info = _exc_info(error)
    raised = "" if exc_info is None else f"the application raised {type(error).__name__}: "
    LOGGER.error(
        "%s %s: %s%s",
        head.method,
        target_text(head),
        raised,
        escaped(_text_of(error)),
        exc_info=exc_info,
        extra={"fields": {**_fields(head), "error": type(error).__name__}},
    )


def log_broken_response(head: LoggedRequest, reason: str) -> None:
    """Log that a response differs from what its head announced, so that the client notices."""
    LOGGER.error(
        "%s %s: the response is broken: %s",
        head.method,
        target_text(head),
        escaped(reason),
        extra={"fields": {**_fields(head), "reason": reason}},
    )


def log_corrected_response(head: LoggedRequest, kind: str, reason: str) -> None:
    """Log once for each `kind` that the server has left out a part of what the application gave."""
    if kind in _told_corrections:
        return
    _told_corrections.add(kind)
    LOGGER.warning(
        "%s %s: %s (this is said once per worker)",
        head.method,
        target_text(head),
        escaped(reason),
        extra={"fields": {**_fields(head), "reason": reason}},
    )


def log_exit_of_a_task(error: BaseException) -> None:
    """Log that a task of the application asked the process to exit, and that only the task ended."""
    LOGGER.error(
        "a task of the application raised %s; only that task ended",
        type(error).__name__,
        exc_info=_exc_info(error),
        extra={"fields": {"error": type(error).__name__}},
    )


def target_text(head: LoggedRequest) -> str:
    """The request target as it was sent; bytes that are no printable ASCII are escaped."""
    return escaped(head.target.decode("ascii", "backslashreplace"))


def client_text(head: LoggedRequest) -> str:
    """Address and port of the client, the port if it is known; `unix` for one without an address: on a Unix socket, or
    one that a proxy doesn't name."""
    if head.client is None:
        return "unix"
    host, port = head.client
    if not port:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _text_of(error: BaseException) -> str:
    """The text of `error`. Its `__str__` belongs to the application, and may fail too."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001  whatever it raises
        return "<exception str() failed>"  # as module traceback says


def _exc_info(error: BaseException) -> _ExcInfo | None:
    cut = application_frames(error.__traceback__)
    if cut is not None:
        return type(error), error, cut
    if type(error).__module__.startswith("gracehttp."):
        return None  # raised by the server about what the application did: the sentence is enough
    return type(error), error, error.__traceback__  # a fault of the server itself


def _fields(head: LoggedRequest) -> dict[str, object]:
    return {"method": head.method, "target": target_text(head), "client": client_text(head)}
