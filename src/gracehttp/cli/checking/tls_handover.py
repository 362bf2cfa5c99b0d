"""Tries whether TLS connections can be handed over."""

from __future__ import annotations


def check_tls_handover() -> str:
    """Returns what was tried. Raises `StartError` if the library is missing, or the system can't."""
    from gracehttp.net.tls13.handover import new_key_log  # help must not wait for the server's modules

    new_key_log([]).close()
    return "the handover of TLS connections"
