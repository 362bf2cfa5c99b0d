"""Lets atheris look for bytes that break a target: `python tests/fuzz/run.py TARGET [--seconds 600]`.

Needs `pip install atheris`. It runs the interpreted code, whose branches atheris can follow. New bytes that reach new
code are kept in `corpus/TARGET`; bytes that break it are written to the working directory, and end the run with their
traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ["GRACEHTTP_COMPILED"] = "off"
FOLDER = Path(__file__).parent


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["gracehttp"]):
        from fuzz_targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--corpus", type=Path, default=FOLDER / "corpus")
    options = parser.parse_args()
    corpus = options.corpus / options.target
    corpus.mkdir(parents=True, exist_ok=True)
    arguments = [f"-max_total_time={options.seconds}", "-timeout=20", "-rss_limit_mb=2048", "-max_len=4096"]
    atheris.Setup([sys.argv[0], *arguments, str(corpus)], TARGETS[options.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
