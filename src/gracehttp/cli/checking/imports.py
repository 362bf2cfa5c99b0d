"""Tries to import an application or a hook, in a process of its own (import_probe.py)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from gracehttp import errors
from gracehttp.errors import ApplicationFailed, ApplicationNotFound, GraceHTTPError


def try_import(target: str, *, factory: bool, interface: str, app_dir: str, timeout_seconds: float) -> str:
    """The interface ("asgi" or "wsgi") of the application that `target` names.

    Output of the application goes to stderr. Raises what the import raised (`ApplicationNotFound`,
    `ConfigurationError`), and `ApplicationFailed` if it ended its process or took more than `timeout_seconds`.
    """
    request = {"target": target, "factory": factory, "interface": interface, "app_dir": app_dir}
    return ask_probe(target, request, timeout_seconds)


def ask_probe(target: str, request: dict[str, object], timeout_seconds: float) -> str:
    """The answer of the probe to `request`, which is for `target`. Raises as `try_import`."""
    from gracehttp.net.shared_page import anonymous_file  # help must not wait for it

    # Not a pipe: a process that the application leaves behind may keep its end open, and answers may be long.
    answers = anonymous_file("check")
    try:
        command = [sys.executable, "-m", "gracehttp.cli.checking.import_probe", str(answers), json.dumps(request)]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, pass_fds=(answers,))  # noqa: S603  ours
        try:
            status = child.wait(timeout_seconds)
        except subprocess.TimeoutExpired as exc:
            raise ApplicationFailed(
                f"the import of {target} did not end within {timeout_seconds:g} s.",
                hint="does it start a server or wait for something while it is imported?",
            ) from exc
        finally:
            child.kill()  # has no effect on a process that has ended
            child.wait()
        return _interface_in(target, os.pread(answers, os.fstat(answers).st_size, 0), status)
    finally:
        os.close(answers)


def _interface_in(target: str, answer: bytes, status: int) -> str:
    """The interface in the `answer` of a child that exited with `status`. Raises the error that it reports."""
    try:
        message: dict[str, Any] = json.loads(answer)
    except ValueError:
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"
        raise ApplicationFailed(f"the process that imported {target} {how}.") from None
    if "interface" in message:
        return str(message["interface"])
    kind = getattr(errors, message["kind"], ApplicationNotFound)
    error: GraceHTTPError = kind(message["message"], hint=message["hint"], details=message["details"])
    raise error
