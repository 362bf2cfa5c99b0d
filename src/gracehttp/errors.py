"""Everything that can go wrong by somebody's fault, named by whose fault it is and by what it takes down.

The command line is the only place that turns these into an exit status. Each error carries one sentence for the
person who reads it, and a hint at what to do.
"""

from __future__ import annotations

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_COULD_NOT_START = 3
EXIT_STILL_UNDER_WAY = 4
EXIT_INTERRUPTED = 130
"""What a shell reports for a program that SIGINT ended: 128 and the signal's number."""


class GraceHTTPError(Exception):
    """The base of all errors that are meant for the person who runs the server.

    `message` is one sentence that says what happened and why; `hint`, where there is one, what to try.
    `details` is text to show below, such as the traceback of the application.
    """

    exit_status = EXIT_FAILED

    def __init__(self, message: str, *, hint: str = "", details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        parts = [self.message]
        if self.hint:
            parts.append(f"Hint: {self.hint}")
        if self.details:
            parts.append(self.details.rstrip())
        return "\n".join(parts)


class ConfigurationError(GraceHTTPError):
    """An option, an address or a file of options is wrong. Nothing was started."""

    exit_status = EXIT_USAGE


class CalledInWrongPlace(GraceHTTPError):
    """A function was called where it can't do what it promises, such as in a loop that runs. Nothing was started."""


class StartError(GraceHTTPError):
    """The service, or one generation of it, can't start. What serves already goes on serving."""

    exit_status = EXIT_COULD_NOT_START


class ListenError(StartError):
    """A listening socket can't be had: the port is taken, the address is not ours, no permission."""


class ApplicationNotFound(StartError):
    """The application that was named can't be imported."""


class ApplicationFailed(StartError):
    """The application was found, and refused to start: its lifespan startup or a warm-up request failed."""


class CertificateError(StartError):
    """A certificate or key can't be read or don't belong together."""


class CommandFailed(GraceHTTPError):
    """A command to a running supervisor (restart, stop, status) did not reach its end."""


class StillUnderWay(CommandFailed):
    """The time that a command was to wait is over; what it ordered goes on, and its end is not known."""

    exit_status = EXIT_STILL_UNDER_WAY


class WaitInterrupted(StillUnderWay):
    """Whoever waited for the end of a command pressed Ctrl+C; what it ordered goes on."""

    exit_status = EXIT_INTERRUPTED
