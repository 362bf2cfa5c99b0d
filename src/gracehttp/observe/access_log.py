"""One line per request that was answered."""

from __future__ import annotations

import logging

from gracehttp.observe.loggers import ACCESS_LOGGER
from gracehttp.observe.requests import LoggedRequest, client_text, target_text

_TEXT = "%s %s %d %d bytes %.1f ms %s worker %d generation %d"


class AccessLog:
    """Logs each finished request to `gracehttp.access`, at level INFO."""

    __slots__ = ("_generation", "_worker")

    def __init__(self, worker: int, generation: int) -> None:
        self._worker = worker
        self._generation = generation

    def __call__(self, head: LoggedRequest, status: int, body_bytes: int, seconds: float) -> None:
        """`body_bytes` were sent as the body of a response that took `seconds` from the head of its request on."""
        if not ACCESS_LOGGER.isEnabledFor(logging.INFO):
            return
        method, target, client = head.method, target_text(head), client_text(head)
        fields = {
            "method": method,
            "target": target,
            "status": status,
            "body_bytes": body_bytes,
            "seconds": round(seconds, 6),
            "client": client,
            "worker": self._worker,
            "generation": self._generation,
        }
        arguments = (method, target, status, body_bytes, seconds * 1000, client, self._worker, self._generation)
        # Not through Logger.info: it would walk the stack for the name of this file, which takes longer than the rest.
        record = ACCESS_LOGGER.makeRecord(ACCESS_LOGGER.name, logging.INFO, __file__, 0, _TEXT, arguments, None)
        record.__dict__["fields"] = fields  # as `extra` would, at a third of its price
        ACCESS_LOGGER.handle(record)
