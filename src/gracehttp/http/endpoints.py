"""Both ends of a connection, as applications want to see them."""

from __future__ import annotations

import asyncio
import os


def client_of(transport: asyncio.BaseTransport) -> tuple[str, int] | None:
    """Host and port of the client; None on a Unix socket, where clients have no name."""
    name = transport.get_extra_info("peername")
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None


def server_of(transport: asyncio.BaseTransport) -> tuple[str, int | None] | None:
    """Host and port where the client connected to; `(path, None)` for a Unix socket, as ASGI says."""
    name = transport.get_extra_info("sockname")
    if isinstance(name, tuple):
        return str(name[0]), int(name[1])
    return (os.fsdecode(name), None) if name else None
