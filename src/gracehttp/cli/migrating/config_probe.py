"""The child of config_files.py: executes a file of options in Python, and answers with one JSON object.

`python -m gracehttp.cli.migrating.config_probe DESCRIPTOR FILE` writes to the file DESCRIPTOR: the code may print.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import types
from typing import Any

from gracehttp.observe.tracebacks import application_traceback


def run(path: str) -> dict[str, Any]:
    """The names that the file sets, or that the module `python:NAME` has."""
    sys.path.insert(0, os.getcwd())
    if path.startswith("python:"):
        module = importlib.import_module(path.removeprefix("python:"))
    else:
        module = types.ModuleType("__config__")
        module.__file__ = os.path.abspath(path)
        with open(path, "rb") as file:
            exec(compile(file.read(), path, "exec"), module.__dict__)  # noqa: S102  as that server executes it
    found = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return {name: plain(value) for name, value in found.items() if not isinstance(value, types.ModuleType)}


def plain(value: object) -> Any:
    """`value` as JSON has it. A function or class becomes its description."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, (list, tuple, set)):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if callable(value):
        return {"function": getattr(value, "__name__", "")}
    return str(value)


if __name__ == "__main__":
    descriptor, target = sys.argv[1:]
    try:
        answer: dict[str, Any] = {"values": run(target)}
    except BaseException as exc:  # noqa: BLE001  whatever the user's file raises, sys.exit() too
        answer = {"error": f"{type(exc).__name__}: {exc}", "details": application_traceback(exc)}
    with open(int(descriptor), "wb") as out:
        out.write(json.dumps(answer).encode())
    sys.stdout.flush()
    os._exit(0)  # threads that the file started must not keep this process alive
