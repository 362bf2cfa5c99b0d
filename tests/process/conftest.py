"""Fixtures of the tests with real processes."""

from __future__ import annotations

import pytest
from server_harness import Server


@pytest.fixture
def start(tmp_path):
    """Start servers; they and their workers are ended when the test is over, however it ended."""
    running: list[Server] = []

    def begin(*arguments, folder=tmp_path, **options):
        server = Server(folder, *arguments, **options)
        running.append(server)
        return server

    yield begin
    for server in running:
        server.end()
