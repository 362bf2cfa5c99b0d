"""Where all that tests need is installed, none is skipped unnoticed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skips import HOLD

TESTS = Path(__file__).parents[1]
FILES = {
    "test_mark.py": """
        import pytest
        @pytest.mark.skipif(True, reason="a program is not installed")
        def test_it(): ...
    """,
    "test_call.py": """
        import pytest
        def test_it(): pytest.skip("a program is not installed")
    """,
    "test_fixture.py": """
        import pytest
        @pytest.fixture
        def program(): pytest.skip("a program is not installed")
        def test_it(program): ...
    """,
    "test_import.py": """
        import pytest
        pytest.importorskip("no_such_package_here")
        def test_it(): ...
    """,
    "test_holds.py": """
        import pytest
        def test_it(): pytest.skip("this machine has no IPv6")
    """,
    "test_expected.py": """
        import pytest
        @pytest.mark.xfail(reason="a fault of a library", strict=True)
        def test_it(): raise AssertionError
    """,
}


def run(folder, names, **variables):
    for name in names:
        lines = FILES[name].strip("\n").splitlines()
        (folder / name).write_text("\n".join(line[8:] for line in lines) + "\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    environment = {key: value for key, value in os.environ.items() if key not in ("GRACEHTTP_SKIPS", "PYTEST_ADDOPTS")}
    command = [sys.executable, "-m", "pytest", "-p", "skips", "-p", "no:dash", "-p", "no:cacheprovider", "-q", folder]
    return subprocess.run(
        command,
        cwd=folder,
        env={**environment, "PYTHONPATH": str(TESTS), **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("name", ["test_mark.py", "test_call.py", "test_fixture.py", "test_import.py"])
def test_a_skip_without_a_reason_that_holds_fails(tmp_path, name):
    done = run(tmp_path, [name], GRACEHTTP_SKIPS="refuse")
    assert done.returncode != 0, done.stdout
    assert "see tests/skips.py" in done.stdout


def test_all_may_be_skipped_where_things_are_missing(tmp_path):
    done = run(tmp_path, FILES)
    assert done.returncode == 0, done.stdout
    assert "5 skipped, 1 xfailed" in done.stdout


def test_reasons_that_hold_hold(tmp_path):
    done = run(tmp_path, ["test_holds.py", "test_expected.py"], GRACEHTTP_SKIPS="refuse")
    assert done.returncode == 0, done.stdout
    assert "1 skipped, 1 xfailed" in done.stdout


@pytest.mark.parametrize("pattern", HOLD)
def test_each_reason_of_the_list_is_one_that_a_test_gives(pattern):
    plain = pattern.replace("(machine|system)", "\\").replace("^(Skipped: )?", "")
    words = max(plain.split("\\"), key=len).lstrip("d+ ")
    texts = [path.read_text(encoding="utf-8") for path in (TESTS.rglob("test_*.py"))]
    assert sum(words in text for text in texts) >= 1
