"""Clients of TLS for tests with real servers: an authority of their own, and the context that trusts it."""

from __future__ import annotations

import socket
import ssl

import trustme
from deadlines import DEADLINE_SECONDS


def context_for(authority, *, certificate=None, alpn=()):
    """The context of clients that trust `authority`, show `certificate` and offer the protocols `alpn`."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if certificate is not None:
        certificate.configure_cert(context)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def der(issued):
    """What `getpeercert(True)` gives of a certificate that an authority has issued."""
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


def certificate_in(file, *names):
    """Write a certificate for `names` with its key to `file`; returns the context of clients that trust it."""
    authority = trustme.CA()
    authority.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(file)
    return context_for(authority)


def connect_tls(port, context, name="localhost"):
    """A client of 127.0.0.1:`port`, after its handshake, in which it asks for `name`. Raises as `wrap_socket`."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS)
    try:
        return context.wrap_socket(sock, server_hostname=name)
    except BaseException:
        sock.close()
        raise
