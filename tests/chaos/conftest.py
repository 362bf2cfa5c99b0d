"""Fixtures of the suite that tries to break it."""

from __future__ import annotations

import pytest
from chaos_server import ChaosServer


@pytest.fixture
def begin(tmp_path):
    """Start servers, each with a folder of its own; they are ended when the test is over, however it ended."""
    running: list[ChaosServer] = []

    def start(**options):
        folder = tmp_path / str(len(running))
        folder.mkdir()
        server = ChaosServer(folder, **options)
        running.append(server)
        server.wait_until_serving()
        return server

    yield start
    for server in running:
        server.end()
