"""Tries whether a certificate and its key can be used."""

from __future__ import annotations

from gracehttp.config import ServerOptions
from gracehttp.config.checks import check_certificates


def check_certificate(server: ServerOptions) -> str:
    """Load the certificate of `server`, which must have one. Returns what was tried.

    Raises `ConfigurationError` if a file doesn't exist, and `CertificateError` if one can't be used.
    """
    from gracehttp.net.certificates import server_context  # help must not wait for the server's modules

    assert server.certfile is not None
    check_certificates([server])
    server_context(server.certfile, server.keyfile, server.keyfile_password)
    return f"certificate {server.certfile}"
