"""What OpenSSL can do and Python's `ssl` doesn't offer: keys of session tickets, and lists of groups.

Both are calls of SSL_CTX_ctrl(3) on the SSL_CTX in an `ssl.SSLContext`. That is the first member behind the head of the
object in CPython 3.11 to 3.14 (Modules/_ssl.c, `PySSLContext`), and the function is that of the very library which
`_ssl` has loaded. Both are tried out before they are used: where anything is otherwise, `available` is False, and
nothing was touched (docs/decisions/0020-ticket-keys.md).
"""

from __future__ import annotations

import functools
import platform
import ssl
import sys
from collections.abc import Callable
from typing import Final

TICKET_KEY_BYTES: Final = 80
"""The name of a key (16), HMAC-SHA256 (32) and AES-256 (32): SSL_CTX_set_tlsext_ticket_keys(3)."""

_SET_TICKET_KEYS: Final = 59  # SSL_CTRL_SET_TLSEXT_TICKET_KEYS of openssl/ssl.h
_SET_GROUPS_LIST: Final = 92  # SSL_CTRL_SET_GROUPS_LIST
_KNOWN_PYTHONS: Final = ((3, 11), (3, 12), (3, 13), (3, 14))
_KNOWN_OPENSSL: Final = 3  # the major version: control numbers are part of its ABI
_PROBE: Final = 7

Control = Callable[[ssl.SSLContext, int, int, bytes | None], int]


def available() -> bool:
    """Whether the functions below can be called."""
    return _control() is not None


def set_ticket_keys(context: ssl.SSLContext, keys: bytes) -> None:
    """Encrypt session tickets of `context` with `keys`, which has `TICKET_KEY_BYTES`, and take those that were."""
    control = _control()
    assert control is not None
    assert len(keys) == TICKET_KEY_BYTES
    if control(context, _SET_TICKET_KEYS, len(keys), keys) != 1:
        raise OSError("OpenSSL does not take the keys of session tickets")


def set_groups(context: ssl.SSLContext, groups: str) -> bool:
    """Use `groups`, as SSL_CTX_set1_groups_list(3) takes them; tells whether OpenSSL knows them all."""
    control = _control()
    assert control is not None
    return control(context, _SET_GROUPS_LIST, 0, groups.encode() + b"\0") == 1


@functools.cache
def _control() -> Control | None:
    """SSL_CTX_ctrl(3) on the context of Python; None where it can't be had for certain."""
    is_known = platform.python_implementation() == "CPython" and sys.version_info[:2] in _KNOWN_PYTHONS
    if not is_known or ssl.OPENSSL_VERSION_INFO[0] != _KNOWN_OPENSSL or hasattr(sys, "gettotalrefcount"):
        return None
    import _ssl
    import ctypes  # a megabyte that is needed only with TLS

    try:
        # dlsym(3) looks into what `_ssl` has loaded, so no other OpenSSL of this process can be found.
        library = ctypes.CDLL(_ssl.__file__)
        function, number_of_tickets = library.SSL_CTX_ctrl, library.SSL_CTX_get_num_tickets
        forget_errors = library.ERR_clear_error
    except (OSError, AttributeError):  # it is linked into the interpreter, or isn't OpenSSL
        return None
    function.restype = ctypes.c_long
    function.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p)
    number_of_tickets.restype = ctypes.c_size_t
    number_of_tickets.argtypes = (ctypes.c_void_p,)

    def pointer(context: ssl.SSLContext) -> int | None:
        return ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value

    probe = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    probe.num_tickets = _PROBE
    found = [pointer(one) for one in (probe, other)]
    if None in found or [number_of_tickets(one) for one in found] != [_PROBE, other.num_tickets]:
        return None
    if function(found[0], _SET_TICKET_KEYS, 0, None) != TICKET_KEY_BYTES:  # without keys it tells their length
        return None

    def control(context: ssl.SSLContext, command: int, number: int, data: bytes | None) -> int:
        result = int(function(pointer(context), command, number, data))
        forget_errors()  # or the next call of `ssl` would take one that stayed behind for its own
        return result

    return control
