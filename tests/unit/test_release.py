"""What a release needs: a changelog in its form, workflows that can run, and a check that refuses half of a release."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gracehttp.release import RELEASE

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
"""keepachangelog.com"""


def test_the_changelog_has_its_newest_section_on_top_and_only_kinds_that_are_known():
    text = (ROOT / "CHANGELOG.md").read_text()
    sections = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert sections[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", one) for one in sections[1:])
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= KINDS


def test_ci_runs_what_everyone_runs_and_only_the_release_may_publish():
    ci, release = (
        yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text()) for name in ("ci.yml", "release.yml")
    )
    assert {"run": "bash .ci/run"} in ci["jobs"]["run"]["steps"]
    publish = release["jobs"]["publish"]
    assert set(publish["needs"]) == release["jobs"].keys() - {"publish"}
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"] == "pypi"
    assert ci["permissions"] == release["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("missing", ["", "version", "changelog", "vectors"])
def test_half_a_release_is_refused(tmp_path, missing):
    for path in (".ci/release-check", "src/gracehttp/release.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    version = "99.0.0" if missing == "version" else RELEASE
    heading = f"## [{version}]" + ("" if missing == "changelog" else " - 2030-01-31")
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n")
    if missing != "vectors":
        (tmp_path / "tests" / "vectors" / version).mkdir(parents=True)
    done = subprocess.run(["bash", tmp_path / ".ci" / "release-check", version], capture_output=True, text=True)
    assert (done.returncode == 0) == (not missing), done.stderr
