"""Logs what an application did wrong with a request."""

from __future__ import annotations

from types import TracebackType

from gracehttp.observe.formatters import escaped
from gracehttp.observe.loggers import LOGGER
from gracehttp.observe.requests import LoggedRequest, client_text, target_text
from gracehttp.observe.tracebacks import application_frames

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def log_application_failure(head: LoggedRequest, error: BaseException) -> None:
    """Log that the application raised `error` for this request, with its own frames of the traceback."""
    LOGGER.error(
        "%s %s: the application raised %s: %s",
        head.method,
        target_text(head),
        type(error).__name__,
        escaped(_text_of(error)),
        exc_info=_exc_info(error),
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


def log_exit_of_a_task(error: BaseException) -> None:
    """Log that a task of the application asked the process to exit, and that only the task ended."""
    LOGGER.error(
        "a task of the application raised %s; only that task ended",
        type(error).__name__,
        exc_info=_exc_info(error),
        extra={"fields": {"error": type(error).__name__}},
    )


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
