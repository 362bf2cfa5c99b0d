"""The first line of a script, which names its interpreter (execve(2)).

Installers write the interpreter of the environment there: `/srv/releases/1/venv/bin/python`. If that is too long for
the kernel or has a space in it, the first line is that of a shell, and the second one executes the interpreter.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

_MOST_BYTES = 4096


def is_run_by_its_first_line(script: str, directory: str, interpreter: Sequence[str]) -> bool:
    """Whether executing `script` runs `interpreter`, the words that stand before the script in a command line.

    A relative `script` begins in `directory`.
    """
    path = os.path.join(directory, script)
    if os.sep not in script or not os.access(path, os.X_OK):
        return False
    first, second = _first_lines(path)
    words = first.split(None, 1)
    if not words:
        return False
    match os.path.basename(words[0]):
        case "env":
            given = words[1].split() if len(words) > 1 else []
            return list(interpreter) == [one for one in given if one not in {"-S", "--split-string"}]
        case "sh":
            return len(interpreter) == 1 and _is_executed_by(second, path, interpreter[0])
    return list(interpreter) == [one.strip() for one in words]


def foreign_environment(arguments: Sequence[str], argv: Sequence[str], prefix: str) -> str:
    """The environment in which the program stands that was executed, if its first line names another one; else "".

    `arguments` are those of the interpreter (`sys.orig_argv`), `argv` those of the program (`sys.argv`), and `prefix`
    is the environment that runs it (`sys.prefix`). So it is after a release was copied with its environment.
    """
    place = len(arguments) - len(argv)
    if place <= 0 or list(arguments[place:]) != list(argv):
        return ""
    script = argv[0]
    environment = os.path.dirname(_folder(script))
    if not os.path.exists(os.path.join(environment, "pyvenv.cfg")) or environment == os.path.realpath(prefix):
        return ""
    return environment if is_run_by_its_first_line(script, "", arguments[:place]) else ""


def interpreter_of(script: str) -> str:
    """The path that the first line of `script` names, or "" if it names none."""
    first, _ = _first_lines(script)
    return first.split(None, 1)[0] if first.strip() else ""


def _is_executed_by(line: str, script: str, interpreter: str) -> bool:
    """Whether the `line` of a shell executes `interpreter`, by its path or as a neighbour of the script."""
    if "exec" not in line:
        return False
    return interpreter in line or ("$0" in line and os.path.dirname(interpreter) == _folder(script))


def _folder(script: str) -> str:
    return os.path.dirname(os.path.realpath(script))


def _first_lines(path: str) -> tuple[str, str]:
    """The first line without its mark `#!`, "" if it has none, and the second one."""
    try:
        with open(path, "rb") as file:
            start = file.read(_MOST_BYTES)
    except OSError:
        return "", ""
    first, _, rest = start.partition(b"\n")
    if not first.startswith(b"#!"):
        return "", ""
    return os.fsdecode(first[2:]).strip(), os.fsdecode(rest.partition(b"\n")[0])
