"""Fixtures of the suite that tries to break it."""

from __future__ import annotations

import pytest
from chaos_server import ChaosServer
from failing_calls import NoCompiler, compile_library


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


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """The path of the library that makes system calls fail."""
    try:
        return compile_library(tmp_path_factory.mktemp("library"))
    except NoCompiler:
        pytest.skip("no C compiler, which the library that makes calls fail needs")
