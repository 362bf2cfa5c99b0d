"""Tries whether the certificates of a server and their keys can be used."""

from __future__ import annotations

import time

from gracehttp.config import ServerOptions
from gracehttp.config.checks import check_certificates


def check_certificate(server: ServerOptions) -> str:
    """Load the certificates of `server`, which must have one. Returns what was tried, and until when they are valid.

    Raises `ConfigurationError` if a file doesn't exist, and `CertificateError` if one can't be used, or has expired.
    """
    from gracehttp.net.certificates import check_validity, load  # help must not wait for the server's modules
    from gracehttp.worker.certificates import tls_settings

    assert server.certfile
    check_certificates([server])
    loaded = load(tls_settings(server, alpn=()))
    now = time.time()
    check_validity(loaded, now)
    tried = []
    for (path, _), context in zip(loaded.settings.pairs, loaded.contexts, strict=True):
        left = int((context.facts.not_after - now) // 86400)
        tried.append(f"certificate {path} (expires in {left} day{'' if left == 1 else 's'})")
    return ", ".join(tried)
