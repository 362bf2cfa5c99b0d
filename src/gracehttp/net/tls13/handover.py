"""What a worker needs to hand sessions of TLS over, and to go on with them; without the library, a sentence instead.

The only module here that can be imported without `cryptography`, besides `state`.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gracehttp.errors import StartError
from gracehttp.hints import Named, hint
from gracehttp.net.tls13.key_log import KeyLog
from gracehttp.net.tls13.state import TlsState

if TYPE_CHECKING:
    from gracehttp.net.tls13.session import ContinuedSession
    from gracehttp.net.tls13.witness import Witness

__all__ = ["KeyLog", "available", "continue_session", "new_key_log", "witness_of"]


def available() -> bool:
    """Whether the library is installed. The first call imports it."""
    try:
        import gracehttp.net.tls13.session
        import gracehttp.net.tls13.witness  # noqa: F401  from here on they are imported, and no client waits for them
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "cryptography":
            raise
        return False
    return True


def new_key_log(contexts: Iterable[ssl.SSLContext]) -> KeyLog:
    """The key log of a port, attached to all its contexts. Raises `StartError`."""
    option = Named("tls_handover")
    if not available():
        raise StartError(
            "TLS connections can't be handed over: the package cryptography is not installed.",
            hint=hint("pip install 'gracehttp[tls-handover]', or leave {} out", option),
        )
    try:
        key_log = KeyLog()
        for context in contexts:
            key_log.attach(context)
    except (OSError, AttributeError) as exc:  # memfd_create(2) is Linux's
        reason = exc.strerror if isinstance(exc, OSError) else "this system has no memfd_create"
        raise StartError(f"TLS connections can't be handed over: {reason}.", hint=hint("leave {} out", option)) from exc
    return key_log


def witness_of(key_log: KeyLog) -> Witness:
    """For one session of a context that `key_log` is attached to."""
    from gracehttp.net.tls13.witness import Witness

    return Witness(key_log)


def continue_session(state: tuple[str, bytearray, int, bytearray, int]) -> ContinuedSession:
    """A session that another process has handed over; `state` as in `TlsState`. Raises `ValueError` with a sentence if
    that can't be."""
    if not available():
        raise ValueError("it speaks TLS, and the package cryptography is not installed")
    from gracehttp.net.tls13.session import ContinuedSession

    return ContinuedSession(TlsState(*state))
