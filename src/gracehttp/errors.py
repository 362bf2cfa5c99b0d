"""All errors that are meant for people, named by whose fault they are and by what they take down.

    GraceHTTPError                  exit status 1
      ConfigurationError                        2   a mistake in the options; nothing was started
      CalledInWrongPlace                        1   a mistake in a script; nothing was started
      StartError                                3   the service, or a new generation of it, can't start
        ListenError, ApplicationNotFound, ApplicationFailed, CertificateError
      CommandFailed                             1   a command to a running supervisor
        StillUnderWay                           4   it was given up, and the supervisor carries it out
          WaitInterrupted                     130

Each carries one sentence, and a hint at what to do. Only the command line and `run()` turn one into an exit status.
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
    """The base of all errors that are meant for people.

    `message` is one sentence that says what happened and why. `hint` says what to try; it may be empty. `details` is
    text to show below, such as the traceback of the application.
    """

    exit_status = EXIT_FAILED
    is_logged = False
    """The log has told it already, with its hint."""

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
    """A function was called where it can't work, such as within a running event loop. Nothing was started."""


class StartError(GraceHTTPError):
    """The service, or a new generation of it, can't start. A generation that serves already goes on serving."""

    exit_status = EXIT_COULD_NOT_START


class ListenError(StartError):
    """A listening socket can't be opened: the port is taken, the address is foreign, permission is missing."""


class ApplicationNotFound(StartError):
    """The application can't be imported under the name that was given."""


class ApplicationFailed(StartError):
    """The application was imported, but its lifespan startup or a warm-up request failed."""


class CertificateError(StartError):
    """A certificate or key can't be read or don't belong together."""


class CommandFailed(GraceHTTPError):
    """A command to a running supervisor (restart, stop, status) failed."""


class StillUnderWay(CommandFailed):
    """The timeout of a command is over. The supervisor carries the command out; its result is not known yet."""

    exit_status = EXIT_STILL_UNDER_WAY


class WaitInterrupted(StillUnderWay):
    """The user pressed Ctrl+C while a command waited. The supervisor carries the command out."""

    exit_status = EXIT_INTERRUPTED
