"""Tries whether the certificates of a server and their keys can be used."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from gracehttp.config import ServerOptions
from gracehttp.config.checks import check_certificates

if TYPE_CHECKING:
    from gracehttp.net.certificates import TlsSettings


def tls_of(server: ServerOptions) -> TlsSettings:
    """What `check_certificate` tries of `server`, which must have a certificate: the same for servers that differ in
    nothing of it."""
    from gracehttp.worker.certificates import tls_settings  # help must not wait for the server's modules

    return tls_settings(server, alpn=())._replace(name="")


def check_certificate(server: ServerOptions) -> str:
    """Load the certificates of `server`, which must have one. Returns what was tried, and until when they are valid.

    Raises `ConfigurationError` if a file doesn't exist, and `CertificateError` if one can't be used, or has expired.
    """
    from gracehttp.net.certificates import check_validity, load  # help must not wait for the server's modules

    assert server.certfile
    check_certificates([server])
    loaded = load(tls_of(server))
    now = time.time()
    check_validity(loaded, now)
    tried = []
    for (path, _), context in zip(loaded.settings.pairs, loaded.contexts, strict=True):
        left = int((context.facts.not_after - now) // 86400)
        tried.append(f"certificate {path} (expires in {left} day{'' if left == 1 else 's'})")
    if loaded.crl_validity is not None and loaded.crl_validity[1] != math.inf:
        left = int((loaded.crl_validity[1] - now) // 86400)
        tried.append(f"list of revoked certificates {server.ssl_crl} (expires in {left} day{'' if left == 1 else 's'})")
    return ", ".join(tried)
