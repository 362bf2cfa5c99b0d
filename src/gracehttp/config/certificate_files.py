"""The files that TLS needs, of the options of servers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from gracehttp.config.model import ServerOptions


def watched_files(servers: Sequence[ServerOptions]) -> tuple[str, ...]:
    """The files that matter for TLS, each once. Paths are as in the options."""
    files = [path for one in servers for path in (*one.certfile, *one.keyfile, one.ssl_ca, one.ssl_crl) if path]
    return tuple(dict.fromkeys(files))


def with_absolute_paths(server: ServerOptions) -> ServerOptions:
    """The application may change the working directory, and its import comes before the certificates are read."""
    return replace(
        server,
        certfile=tuple(map(os.path.abspath, server.certfile)),
        keyfile=tuple(map(os.path.abspath, server.keyfile)),
        ssl_ca=server.ssl_ca and os.path.abspath(server.ssl_ca),
        ssl_crl=server.ssl_crl and os.path.abspath(server.ssl_crl),
    )
