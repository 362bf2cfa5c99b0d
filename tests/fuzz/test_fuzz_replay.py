"""What the fuzzer has found, played again, and each of it a little changed: a short look, always the same."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fuzz_targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
CASES = [(name, path) for name in TARGETS for path in sorted((CORPUS / name).iterdir())]
_CHANGES = 3


def test_each_target_has_a_corpus():
    assert {name for name, _ in CASES} == set(TARGETS)


@pytest.mark.parametrize(("name", "path"), CASES, ids=[f"{name}-{path.name[:8]}" for name, path in CASES])
def test_bytes_of_the_corpus_break_nothing(name, path):
    data = path.read_bytes()
    TARGETS[name](data)
    choice = random.Random(path.name)
    for _ in range(_CHANGES):
        changed = bytearray(data)
        for _ in range(choice.randint(1, 4)):
            at = choice.randint(0, len(changed))
            changed[at : at + choice.randint(0, 2)] = choice.randbytes(choice.randint(0, 2))
        TARGETS[name](bytes(changed))
