"""Both ends of a TLS connection in memory."""

from __future__ import annotations

import ssl

from gracehttp.net.certificates import TlsSettings, load


def context_of(certfile, keyfile, password=None, *, alpn=("http/1.1",)):
    """The context of a port with one certificate."""
    return load(TlsSettings(((certfile, keyfile or certfile),), password, alpn)).default


def shake_hands(client_context, server_context, name="localhost", session=None):
    """The client's end and the server's, after a handshake in which the client asks for `name`."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name, session=session)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    left = [client, server]
    for _ in range(10):
        for end in list(left):
            try:
                end.do_handshake()
                left.remove(end)
            except ssl.SSLWantReadError:
                continue
    assert not left
    return client, server
