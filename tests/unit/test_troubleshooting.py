"""What troubleshooting quotes from the log and from errors is what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SYMPTOMS = [
    line.split("|")[1]
    for line in (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ")
]
QUOTED = sorted({quoted for symptom in SYMPTOMS for quoted in re.findall(r'"([^"]+)"', symptom)})
CODE = " ".join(
    re.sub(r"\"\s*\n\s*f?\"|\{[^{}]*\}", "", file.read_text(encoding="utf-8"))
    for file in (ROOT / "src" / "gracehttp").glob("**/*.py")
)


@pytest.mark.parametrize("quoted", QUOTED)
def test_a_sentence_that_is_quoted_stands_in_the_code(quoted):
    pieces = [piece.strip() for piece in re.split(r"\.\.\.|\bmain\b", quoted)]
    assert [piece for piece in pieces if piece not in CODE] == []
