"""The command line that starts this program again: what a generation is.

Everything is looked up anew at each start, so that a release folder behind a symbolic link, a new virtual
environment or a new Python is picked up by a restart.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping

from gracehttp.supervisor.processes.debugger import is_attached, without_debugger
from gracehttp.values import Value


class CommandLine(Value):
    """What to execute, and in which folder; both as they were typed. `directory` is empty if it was deleted.
    `is_typed_in` says that the program came from standard input, so that it can't be run a second time."""

    arguments: tuple[str, ...]
    directory: str
    is_typed_in: bool = False

    def executable(self) -> str:
        """The interpreter: by its path if one was typed, else through PATH as a shell would find it now."""
        typed = self.arguments[0]
        return typed if os.sep in typed else shutil.which(typed) or sys.executable


def typed_directory(environ: Mapping[str, str], working_directory: str) -> str:
    """The working directory by the name that the shell knew it by.

    `getcwd(3)` resolves symbolic links, so that after a deploy that turns a link to another release it would still
    name the old one; the shell keeps the link's name in PWD.
    """
    named = environ.get("PWD", "")
    try:
        return named if named and os.path.samefile(named, working_directory) else working_directory
    except OSError:
        return working_directory


def this_command_line() -> CommandLine:
    """How this process was started. To be called before anything changes the working directory."""
    arguments = tuple(sys.orig_argv)
    if is_attached():
        arguments = without_debugger(arguments)
    if arguments and not os.access(shutil.which(arguments[0]) or "", os.X_OK):
        arguments = (
            sys.executable,
            *arguments[1:],
        )  # some launchers put a label where the program's name belongs
    return CommandLine(arguments or (sys.executable,), _working_directory(), _comes_from_standard_input())


def _comes_from_standard_input() -> bool:
    """Of `python < script.py`, `python - ARGUMENTS` and an interactive session."""
    file = getattr(sys.modules.get("__main__"), "__file__", "<stdin>")
    return file == "<stdin>" and (sys.argv[:1] or [""])[0] in {"", "-"}


def _working_directory() -> str:
    try:
        return typed_directory(os.environ, os.getcwd())
    except FileNotFoundError:  # deleted (getcwd(3)): only the supervisor needs it, to start workers
        return ""
