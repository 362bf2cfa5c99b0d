"""The access log: a record for each request that is finished.

`config.access_format` has the formats, `access_lines` makes lines of them. The record goes to the logger
`gracehttp.access`, and has what is known of the request as attributes, so that handlers and format strings of the user
can use it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from typing import Any, Final, Protocol

from gracehttp.config.access_format import FIELDS, AccessFormat, read_access_format
from gracehttp.config.model import ProcessOptions
from gracehttp.observe.access_lines import line_maker
from gracehttp.observe.formatters import escaped
from gracehttp.observe.loggers import ACCESS_LOGGER
from gracehttp.observe.request_failures import LoggedRequest, client_text, target_text

LOG_FORMAT: Final = AccessFormat("log")

_SENTENCE: Final = "%s %s %d %d bytes %.1f ms %s worker %d generation %d"
_SWITCHED: Final = 101
_UNKNOWN: Final[dict[str, Any]] = dict.fromkeys(FIELDS, "-")
_DERIVED: Final = ("path", "query", "scheme", "headers", "address", "pid")
"""Facts that `--log-format json` has no need of: others tell the same, or the line has them already."""
_FACT_OF: Final = {"host": "host", "user-agent": "user_agent", "referer": "referer", "x-request-id": "request_id"}


def access_log_of(process: ProcessOptions, worker: int, generation: int) -> AccessLog | None:
    """The one that the options ask for; None costs nothing."""
    if not process.logs_access:
        return None
    return AccessLog(worker, generation, read_access_format(process.access_log_format), process.access_log_exclude)


class AccessedRequest(LoggedRequest, Protocol):
    """What the access log needs to know of the head of a request. `http.head.RequestHead` is one."""

    @property
    def refused(self) -> bool:
        """The server has answered it itself: nothing is known but method, target and client."""

    @property
    def cut(self) -> bool:
        """Only a part of the response was sent."""

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]: ...

    @property
    def scheme(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def query_string(self) -> bytes: ...

    @property
    def http_version(self) -> str: ...


class AccessLog:
    """Logs each finished request to `gracehttp.access`, at level INFO: the `request_finished` of a worker."""

    __slots__ = ("_beginnings", "_generation", "_line", "_paths", "_worker")

    def __init__(
        self, worker: int, generation: int, form: AccessFormat = LOG_FORMAT, excluded: Sequence[str] = ()
    ) -> None:
        """Requests for the paths in `excluded` are left out; one that ends with `*` stands for all that begin so."""
        self._worker = worker
        self._generation = generation
        self._line = line_maker(form)
        self._paths = frozenset(path for path in excluded if not path.endswith("*"))
        self._beginnings = tuple(path[:-1] for path in excluded if path.endswith("*"))

    def __call__(self, head: AccessedRequest, status: int, body_bytes: int, seconds: float, /) -> None:
        if not ACCESS_LOGGER.isEnabledFor(logging.INFO):
            return
        if not head.refused and (head.path in self._paths or head.path.startswith(self._beginnings)):
            return
        facts = self._facts(head, status, body_bytes, seconds)
        text, arguments = _sentence(facts) if self._line is None else (self._line(facts, time.time()), ())
        # Not through Logger.info: it would walk the stack for the name of this file, which takes longer than the rest.
        record = ACCESS_LOGGER.makeRecord(ACCESS_LOGGER.name, logging.INFO, __file__, 0, text, arguments, None)
        attributes = record.__dict__  # as `extra` would, at a third of its price
        attributes.update(_UNKNOWN)
        attributes.update(facts)
        attributes["fields"] = {name: value for name, value in facts.items() if name not in _DERIVED}
        attributes["whole_line"] = self._line is not None
        ACCESS_LOGGER.handle(record)

    def _facts(self, head: AccessedRequest, status: int, body_bytes: int, seconds: float) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "method": head.method,
            "target": target_text(head),
            "status": status,
            "body_bytes": body_bytes,
            "seconds": round(seconds, 6),
            "client": client_text(head),
            "worker": self._worker,
            "generation": self._generation,
            "address": head.client[0] if head.client is not None else "unix",
            "pid": os.getpid(),
            "headers": {},
        }
        if status == _SWITCHED and head.close_code is not None:
            facts["close_code"] = head.close_code
        if head.refused:
            return facts
        if head.cut:
            facts["cut"] = True
        facts["http_version"] = head.http_version
        facts["scheme"] = head.scheme
        facts["path"] = escaped(head.path)
        facts["query"] = escaped(head.query_string.decode("ascii", "backslashreplace"))
        facts["headers"] = headers = {
            name.decode("latin-1"): escaped(value.decode("latin-1")) for name, value in head.headers
        }
        for name, fact in _FACT_OF.items():
            if name in headers:
                facts[fact] = headers[name]
        return facts


def _sentence(facts: dict[str, Any]) -> tuple[str, tuple[object, ...]]:
    """As the other lines of the log: text and arguments of a record."""
    text = _SENTENCE
    arguments: tuple[object, ...] = (
        facts["method"], facts["target"], facts["status"], facts["body_bytes"], facts["seconds"] * 1000,
        facts["client"], facts["worker"], facts["generation"],
    )  # fmt: skip
    if "close_code" in facts:
        text += " close %d"
        arguments = (*arguments, facts["close_code"])
    return (text + " cut" if "cut" in facts else text), arguments
