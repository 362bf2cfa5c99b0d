from __future__ import annotations

import importlib

import pytest

from gracehttp.http.websocket import handshake


@pytest.fixture(autouse=True)
def library_as_at_the_start(monkeypatch):
    """Whether the library was looked for, and missed, is forgotten."""
    importlib.import_module("gracehttp.http.websocket.protocol")
    monkeypatch.setattr(handshake, "_library", handshake._Library())
