"""A debugger that has started the program: debugpy (VS Code) or pydevd (PyCharm), in which it is by another name.

It runs the program in its own process, so the command line of that is the debugger's, with the program's at its end.
It follows child processes that are started by `subprocess`, whose calls it has replaced.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence

_WITHOUT_VALUE = frozenset(("--wait-for-client", "--log-to-stderr", "--disable-sys-remote-exec"))
"""The options of debugpy (`python -m debugpy --help`) that no value follows."""


def is_attached() -> bool:
    """Whether a debugger runs in this process."""
    return "_pydevd_bundle" in sys.modules


def without_debugger(arguments: Sequence[str]) -> tuple[str, ...]:
    """The command line that runs the same program without its debugger. Pure. One without a debugger stays the same."""
    for place, argument in enumerate(arguments[1:], 1):
        name = os.path.basename(argument.rstrip(os.sep))
        before = arguments[:place]
        if name == "debugpy":
            if before[-1] == "-m":
                before = before[:-1]
            return (*before, *_target_of_debugpy(arguments[place + 1 :]))
        if name == "pydevd.py":
            return (*before, *_target_of_pydevd(arguments[place + 1 :]))
        if not argument.startswith("-"):
            break  # the program itself
    return tuple(arguments)


def _target_of_debugpy(arguments: Sequence[str]) -> Sequence[str]:
    place = 0
    while place < len(arguments) and arguments[place].startswith("--"):
        place += 1 if arguments[place] in _WITHOUT_VALUE else 2
    return arguments[place:]


def _target_of_pydevd(arguments: Sequence[str]) -> Sequence[str]:
    if "--file" not in arguments:
        return ()
    place = arguments.index("--file")
    is_module = "--module" in arguments[:place]
    return [*(["-m"] if is_module else []), *arguments[place + 1 :]]


def spawn_debugged(
    arguments: Sequence[str],
    *,
    executable: str,
    directory: str,
    variables: Mapping[str, str],
    pass_fds: Collection[int],
    stderr: int,
) -> int:
    """Run a command line so that the debugger follows; returns the PID of the child, which the caller waits for.

    Raises `OSError`. Unlike `spawn` it waits for execve(2): in front of a debugger there is a person.
    """
    child = subprocess.Popen(  # noqa: S603  it started this process
        arguments, executable=executable, cwd=directory, env=variables, pass_fds=pass_fds, stderr=stderr
    )
    child.returncode = 0  # or the object, when it is collected, would wait for the child in our place
    return child.pid
