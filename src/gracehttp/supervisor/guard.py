"""Where a defect of ours, or a system without resources, must not keep the supervisor from what comes next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec

_P = ParamSpec("_P")


def guarded(what: str, act: Callable[_P, None], *args: _P.args, **kwargs: _P.kwargs) -> None:
    """Call `act`. If it raises, that is told to the exception handler of the loop, and nothing more comes of it.

    `what` completes the sentence "the supervisor failed to ...", with `args` in its places (`str.format`).
    """
    try:
        act(*args, **kwargs)
    except Exception as exc:  # noqa: BLE001  whatever it is, workers live and die on, and must be seen to
        told = f"the supervisor failed to {what.format(*args)}"
        asyncio.get_running_loop().call_exception_handler({"message": told, "exception": exc})
