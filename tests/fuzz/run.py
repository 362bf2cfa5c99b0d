"""Lets atheris look for bytes that break a target: `python tests/fuzz/run.py TARGET [--seconds 600]`.

Needs `pip install atheris`. It runs the interpreted code, whose branches atheris can follow. New bytes that reach new
code are kept in `corpus/TARGET`; bytes that break it are written to the working directory, and end the run with their
traceback. `--minimise` doesn't look for any: it removes the files of the corpus that go no way which a shorter one
doesn't go as well.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

os.environ["GRACEHTTP_COMPILED"] = "off"
FOLDER = Path(__file__).parent
Step = tuple[CodeType, int, int]


def main() -> None:
    from fuzz_targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--corpus", type=Path, default=FOLDER / "corpus")
    parser.add_argument("--minimise", action="store_true")
    options = parser.parse_args()
    target = TARGETS[options.target]
    corpus = options.corpus / options.target
    corpus.mkdir(parents=True, exist_ok=True)
    if options.minimise:
        minimise(target, corpus)
    else:
        look_for_more(target, corpus, options.seconds)


def minimise(target: Callable[[bytes], None], corpus: Path) -> None:
    known: set[Step] = set()
    for path in sorted(corpus.iterdir(), key=lambda path: (path.stat().st_size, path.name)):
        way = way_of(target, path.read_bytes())
        if way <= known:
            path.unlink()
        known |= way


def way_of(target: Callable[[bytes], None], data: bytes) -> set[Step]:
    """The lines of gracehttp that run, each with the one before it."""
    way: set[Step] = set()
    before: dict[int, int] = {}  # by frame

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if "/gracehttp/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            way.add((frame.f_code, before.get(id(frame), 0), frame.f_lineno))
        before[id(frame)] = frame.f_lineno
        return trace

    sys.settrace(trace)
    try:
        target(data)
    finally:
        sys.settrace(None)
    return way


def look_for_more(target: Callable[[bytes], None], corpus: Path, seconds: int) -> None:
    import atheris

    for path in corpus.iterdir():
        target(path.read_bytes())  # so that what is imported late is there to be instrumented
    # Not by `atheris.instrument_imports`: it leaves modules to `gracehttp.compiled` that have a compiled form beside
    # them.
    for one in gc.get_objects():
        if type(one) is FunctionType and (one.__module__ or "").startswith("gracehttp."):
            atheris.instrument_func(one)
    arguments = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2048", "-max_len=4096"]
    atheris.Setup([sys.argv[0], *arguments, str(corpus)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
