"""Options of the whole suite."""

from __future__ import annotations

import compileall
import gc
import os
from pathlib import Path

import hypothesis
import pytest

import gracehttp

pytest_plugins = ["skips"]

# How long one example takes says more about the machine than about the code.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")


def pytest_addoption(parser):
    parser.addoption("--soak", action="store_true", help="include the long runs, in their full size")
    parser.addoption("--installs", action="store_true", help="run the tests that install gracehttp anew, and no others")
    parser.addoption("--seed", type=int, help="play the random histories of tests/chaos that this number stands for")


def pytest_configure(config):
    # Servers of tests print as they do where nobody asked for anything else: with this variable, which images of
    # containers set, each argument of print() is a write of its own, and other processes write in between.
    os.environ.pop("PYTHONUNBUFFERED", None)
    # The servers of tests write no bytecode, because tests change applications faster than its time stamps can tell.
    # So ours is written once, here; otherwise each of a few thousand processes would compile all modules anew.
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(gracehttp.__file__).parent, quiet=1)


def pytest_collection_modifyitems(config, items):
    # Tests with processes take seconds: they come first, so that no core idles while another ends with a long one.
    items.sort(key=lambda item: "tests/unit/" in item.nodeid)
    installs = config.getoption("--installs")
    left_out = [item for item in items if bool(item.get_closest_marker("installs")) is not installs]
    if not config.getoption("--soak"):
        left_out += [item for item in items if item.get_closest_marker("soak")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish(session):
    # Many tests let the garbage collector run. What modules and the tests themselves have made by now stays to the end,
    # and to go through it again each time would take a second.
    gc.collect()
    gc.freeze()


@pytest.fixture
def soak(request):
    """Whether the long form is wanted."""
    return request.config.getoption("--soak")


@pytest.fixture
def undisturbed():
    """What other tests left to the garbage collector is gone, and it takes nothing away during this test.

    For tests that count what belongs to the whole process: descriptors, tasks, objects, records of the log.
    """
    for _ in range(3):  # finalizers may leave garbage of their own
        gc.collect()
    gc.disable()
    yield
    gc.enable()
