"""gracehttp: an HTTP server whose running code can be replaced without a client noticing."""

from gracehttp.api import GraceHTTP, run
from gracehttp.applications.drain_notice import DrainNotice, ThreadDrainNotice
from gracehttp.embedded import RunningServer, serving
from gracehttp.errors import ConfigurationError, GraceHTTPError, StartError
from gracehttp.observe.callbacks import set_error_log_callback, set_info_log_callback, set_notice_log_callback
from gracehttp.release import RELEASE as __version__

__all__ = [
    "ConfigurationError",
    "DrainNotice",
    "GraceHTTP",
    "GraceHTTPError",
    "RunningServer",
    "StartError",
    "ThreadDrainNotice",
    "__version__",
    "run",
    "serving",
    "set_error_log_callback",
    "set_info_log_callback",
    "set_notice_log_callback",
]
