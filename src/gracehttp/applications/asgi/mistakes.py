"""What an application sent or returned that is no message, in a sentence: looked at when an error has come of it."""

from __future__ import annotations

from collections.abc import Mapping

from gracehttp.http.exchange import ResponseError


def explained(error: Exception, message: object) -> Exception:
    """`error`, which came of sending `message`, or one that tells what is wrong with that, if it can be told."""
    if not isinstance(message, Mapping):
        return ResponseError(f"send was given {_kind(message)}, and a message is a dict with a type")
    headers = message.get("headers")
    if isinstance(headers, Mapping):
        return ResponseError("the headers are a dict, and must be a list of pairs of bytes: [(b'name', b'value')]")
    return error


def nothing_sent(returned: object) -> ResponseError:
    """The error for an application that `returned` something, and had sent nothing."""
    what = _kind(returned)
    return ResponseError(
        f"the application returned {what} and sent nothing: a response goes to send, as await send({{...}})"
    )


def _kind(value: object) -> str:
    return "None" if value is None else f"an object of type {type(value).__name__}"
