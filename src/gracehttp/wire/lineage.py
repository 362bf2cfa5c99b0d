"""What a process was started as. The same command line runs as six kinds of process; a variable tells which.

Each variable is removed as soon as it is read, so that a program that the application starts doesn't take itself for
one of these processes.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, MutableMapping

CHANNEL_VARIABLE = "GRACEHTTP_WORKER_CHANNEL"
"""The number of a descriptor: this process is a worker, and that socket is its channel to the supervisor."""

SPARE_VARIABLE = "GRACEHTTP_SPARE_CHANNEL"
"""The number of a descriptor. A process that has it is the spare process: orders to fork workers come on that socket.
"""

HOOKS_VARIABLE = "GRACEHTTP_HOOKS"
"""The number of a descriptor: this process calls the hooks for the events that come on that socket."""

STATE_VARIABLE = "GRACEHTTP_SUPERVISOR_STATE"
"""The number of a descriptor: this process was the supervisor, has executed itself anew, and finds its state there."""

TRIAL_VARIABLE = "GRACEHTTP_SUPERVISOR_TRIAL"
"""The numbers of two descriptors: this process must tell whether it could go on with the state in the first one, and
answer through the second one."""

FAULT_HANDLER_VARIABLE = "PYTHONFAULTHANDLER"
"""Has the interpreter write stacks at a crash, from its first moment on (docs.python.org: faulthandler)."""

FAULT_HANDLER_VALUE = "gracehttp"
"""What the supervisor gives that variable; any text will do. So a worker can tell whether the user has set it."""


def forget_fault_handler(environ: MutableMapping[str, str]) -> None:
    """Remove the variable that is for this process alone. What the user has set stays."""
    if environ.get(FAULT_HANDLER_VARIABLE) == FAULT_HANDLER_VALUE:
        del environ[FAULT_HANDLER_VARIABLE]


def is_first_process(environ: Mapping[str, str]) -> bool:
    """Whether a person, or their service manager, started this process, and not a supervisor."""
    return not {CHANNEL_VARIABLE, SPARE_VARIABLE, HOOKS_VARIABLE, STATE_VARIABLE, TRIAL_VARIABLE} & environ.keys()


def is_trial(environ: Mapping[str, str]) -> bool:
    """Whether this process must only tell if it could be the next supervisor."""
    return TRIAL_VARIABLE in environ


def claim_socket(environ: MutableMapping[str, str], variable: str) -> socket.socket | None:
    """The socket whose descriptor is in `variable`; None if it isn't set. Removes the variable, so that a program that
    this process starts isn't taken for it."""
    number = environ.pop(variable, None)
    if number is None:
        return None
    try:
        sock = socket.socket(fileno=int(number))
    except (ValueError, OSError):
        return None
    sock.set_inheritable(False)
    return sock
