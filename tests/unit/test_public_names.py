"""The names of the package, which are imported when they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gracehttp


@pytest.mark.parametrize("name", gracehttp.__all__)
def test_each_is_there(name) -> None:
    assert getattr(gracehttp, name) is not None
    assert name in dir(gracehttp)


def test_the_events_need_no_import_of_their_own() -> None:
    code = "import gracehttp; print(gracehttp.events.WorkerExited.__module__)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.startswith("gracehttp.events")


def test_another_one_is_not() -> None:
    with pytest.raises(AttributeError, match="module 'gracehttp' has no attribute 'nothing_of_that_kind'"):
        gracehttp.nothing_of_that_kind  # noqa: B018
    with pytest.raises(ImportError):
        from gracehttp import nothing_of_that_kind  # noqa: F401


def test_all_of_them_are_imported_by_a_star() -> None:
    names: dict[str, object] = {}
    exec("from gracehttp import *", names)
    assert set(gracehttp.__all__) <= {*names, "__version__"}


def test_the_version_is_told_without_the_server() -> None:
    code = "import sys; from gracehttp.cli import main\ntry: main(['--version'])\nfinally: print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.startswith("gracehttp ")
    assert {"asyncio", "click", "gracehttp.api", "gracehttp.config"}.isdisjoint(told.split())


def test_a_worker_of_the_spare_process_has_them_from_there() -> None:
    code = """
import importlib, sys
from gracehttp.worker.forking.spare import MODULES
for name in MODULES:
    importlib.import_module(name)
before = set(sys.modules)
import gracehttp
for name in gracehttp.__all__:
    getattr(gracehttp, name)
print(sorted(set(sys.modules) - before))
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == "[]\n"
