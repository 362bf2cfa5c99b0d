"""`.ci/sanitize` builds, and what it runs passes. It takes minutes, so this runs with --installs alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.installs
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_the_parser_runs_clean_where_each_access_to_memory_is_checked():
    ended = subprocess.run(
        [".ci/sanitize", "tests/unit/http/http1/test_body_parser.py", "tests/unit/http/http1/test_parser.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "AddressSanitizer" not in ended.stdout + ended.stderr
