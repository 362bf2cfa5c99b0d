"""An HTTP server for ASGI and WSGI applications. Its running code can be replaced without a client noticing.

This package has what users call: `run` and `GraceHTTP` for a program of its own, `serving` within a running loop,
`running` in a thread.

The packages below, from the ground up. A module imports from its own package and from those above it in this list:

- `values`, `errors`, `hints`, `events`, `release`, `compiled` (which build runs): what all others use; `system`: this
  process as the operating system sees it
- `net`: sockets and bytes; `wire`: every format that crosses a process
- `config`: the options; `observe`: logs; `console`: the terminal
- `http`: connections, requests and responses; `applications`: ASGI and WSGI
- `hooks`: functions of the user that are called when something happens
- `worker` serves, `supervisor` starts workers and restarts; neither imports the other
- `api` and `embedded`, then `cli` and `demo`

Start reading at `api`, which decides whether this process is the supervisor or a worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gracehttp.compiled  # noqa: F401  before all modules of which there is a compiled build
from gracehttp.release import RELEASE as __version__

if TYPE_CHECKING:
    from gracehttp.api import GraceHTTP, run
    from gracehttp.applications.drain_notice import DrainNotice, ThreadDrainNotice, drain_notice
    from gracehttp.embedded import RunningServer, running, serving
    from gracehttp.errors import ConfigurationError, GraceHTTPError, StartError
    from gracehttp.observe.callbacks import set_error_log_callback, set_info_log_callback, set_notice_log_callback

__all__ = [
    "ConfigurationError",
    "DrainNotice",
    "GraceHTTP",
    "GraceHTTPError",
    "RunningServer",
    "StartError",
    "ThreadDrainNotice",
    "__version__",
    "drain_notice",
    "run",
    "running",
    "serving",
    "set_error_log_callback",
    "set_info_log_callback",
    "set_notice_log_callback",
]

_MODULES = {
    "ConfigurationError": "gracehttp.errors",
    "DrainNotice": "gracehttp.applications.drain_notice",
    "GraceHTTP": "gracehttp.api",
    "GraceHTTPError": "gracehttp.errors",
    "RunningServer": "gracehttp.embedded",
    "StartError": "gracehttp.errors",
    "ThreadDrainNotice": "gracehttp.applications.drain_notice",
    "drain_notice": "gracehttp.applications.drain_notice",
    "run": "gracehttp.api",
    "running": "gracehttp.embedded",
    "serving": "gracehttp.embedded",
    "set_error_log_callback": "gracehttp.observe.callbacks",
    "set_info_log_callback": "gracehttp.observe.callbacks",
    "set_notice_log_callback": "gracehttp.observe.callbacks",
}
"""Where each of them is. They are imported when they are first asked for (PEP 562), so that a command which needs none
of them starts quickly. A worker asks for all of them before it is ready (`api`)."""


def __getattr__(name: str) -> object:
    import importlib

    if name == "events":  # `gracehttp.events` has what users call too, and needs no import of its own
        return importlib.import_module("gracehttp.events")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
