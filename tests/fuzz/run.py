"""Lets atheris look for bytes that break a target: `python tests/fuzz/run.py TARGET [--seconds 600]`.

Needs `pip install atheris`. It runs the interpreted code, whose branches atheris can follow. New bytes that reach new
code are kept in `corpus/TARGET`; bytes that break it are written to the working directory, and end the run with their
traceback. `--minimise FOLDER` fills FOLDER with the fewest and shortest files of the corpus that reach the same code.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from pathlib import Path
from types import FunctionType

os.environ["GRACEHTTP_COMPILED"] = "off"
FOLDER = Path(__file__).parent


def main() -> None:
    import atheris
    from fuzz_targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--corpus", type=Path, default=FOLDER / "corpus")
    parser.add_argument("--minimise", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    target = TARGETS[options.target]
    corpus = options.corpus / options.target
    corpus.mkdir(parents=True, exist_ok=True)
    for path in corpus.iterdir():
        target(path.read_bytes())  # so that what is imported late is there to be instrumented
    # Not by `atheris.instrument_imports`: it leaves modules to `gracehttp.compiled` that have a compiled form beside
    # them.
    for one in gc.get_objects():
        if type(one) is FunctionType and (one.__module__ or "").startswith("gracehttp."):
            atheris.instrument_func(one)
    arguments = ["-timeout=20", "-rss_limit_mb=2048", "-max_len=4096"]
    if options.minimise is not None:
        options.minimise.mkdir(parents=True, exist_ok=True)
        arguments += ["-merge=1", str(options.minimise)]
    else:
        arguments.append(f"-max_total_time={options.seconds}")
    atheris.Setup([sys.argv[0], *arguments, str(corpus)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
