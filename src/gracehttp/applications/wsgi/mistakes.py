"""What an application returned that is no iterable of bytes, in a sentence: looked at when an error has come of it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from gracehttp.http.exchange import ResponseError
from gracehttp.observe.tracebacks import application_frames

RAISED: object = object()
"""In place of what an application returned that has not returned."""


def explained(error: BaseException, returned: object) -> BaseException:
    """`error` itself if the application's code raised it, else one that tells what is wrong with what it `returned`, if
    that can be told."""
    if returned is RAISED or application_frames(error.__traceback__) is not None:
        return error
    try:
        sentence = _what_is_wrong(returned)
    except Exception:  # noqa: BLE001  an object may raise whatever it likes when it is looked at, as proxies of others do
        return error
    return ResponseError(sentence) if sentence else error


def _what_is_wrong(returned: object) -> str:
    if returned is None:
        return "the application returned None, not an iterable of bytes; is a `return` missing?"
    if isinstance(returned, str):
        return "the application returned a str, and the pieces of a body must be bytes: return [text.encode()]"
    if isinstance(returned, (bytes, bytearray)):
        return f"the application returned {type(returned).__name__}, whose items are numbers: return [body], in a list"
    if inspect.isawaitable(returned):
        if inspect.iscoroutine(returned):
            returned.close()  # or Python warns that it was never awaited
        return "the application returned a coroutine, not an iterable of bytes: write it with def"
    if not isinstance(returned, Iterable):
        return f"the application returned an object of type {type(returned).__name__}, not an iterable of bytes"
    return ""
