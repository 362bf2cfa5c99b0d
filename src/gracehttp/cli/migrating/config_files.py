"""Files of options of gunicorn and hypercorn. One that is Python runs in a process of its own (config_probe.py)."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from typing import Any

from gracehttp.errors import ConfigurationError

TIMEOUT_SECONDS = 30.0
_STARTS = frozenset(("uvicorn.run", "uvicorn.Server", "hypercorn.run"))
_SCRIPT = (
    "in a script gracehttp.run(app, host=..., port=...) takes the place of uvicorn.run(); or give its options as a "
    "command: gracehttp migrate -- uvicorn main:app --port 80"
)


def read_config(path: str) -> dict[str, Any]:
    """The names and values in the file at `path`, or of the module `python:NAME`. Raises `ConfigurationError`."""
    bare = path.removeprefix("file:")
    if not path.startswith("python:"):
        if not os.path.isfile(bare):
            raise ConfigurationError(f"there is no file {bare}.", hint="give the path of gunicorn.conf.py")
        if bare.endswith(".toml"):
            return _read_toml(bare)
        _reject_script(bare)
    return _run(bare)


def _read_toml(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{path} can't be read: {exc}.") from None


def _reject_script(path: str) -> None:
    """Raise `ConfigurationError` if the file at `path` starts a server: it is a script, and must not be executed."""
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read(), path)
    except (OSError, SyntaxError, ValueError):
        return  # the execution tells
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    if called := sorted(calls & _STARTS):
        raise ConfigurationError(f"{path} is a script that starts a server, by {called[0]}().", hint=_SCRIPT)


def _run(path: str) -> dict[str, Any]:
    from gracehttp.net.shared_page import anonymous_file  # help must not wait for it

    answers = anonymous_file("migrate")
    try:
        command = [sys.executable, "-m", "gracehttp.cli.migrating.config_probe", str(answers), path]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, pass_fds=(answers,))  # noqa: S603  ours
        try:
            child.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            raise ConfigurationError(
                f"{path} did not end within {TIMEOUT_SECONDS:g} s.", hint=f"does it start a server? {_SCRIPT}"
            ) from None
        finally:
            child.kill()  # has no effect on a process that has ended
            child.wait()
        text = os.pread(answers, os.fstat(answers).st_size, 0)
    finally:
        os.close(answers)
    try:
        answer = json.loads(text)
    except ValueError:
        raise ConfigurationError(f"the process that executed {path} ended without an answer.") from None
    if "error" in answer:
        raise ConfigurationError(
            f"{path} could not be executed: {answer['error']}.",
            hint="run this in the environment and the folder in which that server runs",
            details=answer["details"],
        )
    values: dict[str, Any] = answer["values"]
    return values
