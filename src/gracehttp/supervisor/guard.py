"""Keeping a defect of gracehttp, or a system without resources, from stopping what the supervisor does next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec

_P = ParamSpec("_P")


def guarded(what: str, act: Callable[_P, None], *args: _P.args, **kwargs: _P.kwargs) -> None:
    """Call `act`. If it raises, only the exception handler of the loop is told.

    `what` completes the sentence "the supervisor failed to ...", with `args` in its places (`str.format`).
    """
    try:
        act(*args, **kwargs)
    except Exception as exc:  # noqa: BLE001  whatever it is, workers still live and exit, and need their supervisor
        told = f"the supervisor failed to {what.format(*args)}"
        asyncio.get_running_loop().call_exception_handler({"message": told, "exception": exc})
