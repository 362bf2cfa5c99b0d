"""Restarts under a mixed load: connections that are kept and new ones, plain and over TLS, bodies in pieces, slow and
large answers, pipelined requests, clients that shut their side.

    python benchmarks/mixed_soak.py --restarts 200 --write benchmarks/mixed_soak.md

No request may be lost, no connection may end without a notice, and connections that are plain and kept have to live
through all restarts. The exit status is 1 if any of that did not hold.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "process"), str(ROOT / "tests" / "chaos")]

from chaos_server import ChaosServer  # noqa: E402  the clients of the tests are the clients here
from mixed_load import ANSWERS_PER_RESTART, MixedLoad, write_certificate  # noqa: E402  (as above)

KEPT = "kept"


def run(restarts: int) -> tuple[Any, list[float], list[str]]:
    """The load, the seconds of each restart, and what went wrong."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        certificate = Path(folder) / "cert.pem"
        write_certificate(certificate)
        secure = ("--bind", f"https://localhost:0?certfile={certificate}")
        server = ChaosServer(Path(folder), bind="http://127.0.0.1:0", options=secure)
        try:
            server.wait_until_serving()
            took = []
            with MixedLoad(*server.ports) as load:
                for generation in range(2, restarts + 2):
                    load.wait_for_answers(ANSWERS_PER_RESTART)
                    before = time.monotonic()
                    server.restart(generation)
                    took.append(time.monotonic() - before)
                    print(generation - 1, f"{took[-1]:.2f} s", load.answered, len(load.failures), flush=True)
                load.wait_for_answers(ANSWERS_PER_RESTART)
            return load, took, judge(load, server)
        finally:
            server.end()


def judge(load: Any, server: Any) -> list[str]:
    wrong = [f"a client failed: {failure!r}" for failure in load.failures[:5]]
    kept = [client.connects for client in load.clients if client.kind == KEPT]
    if any(connects != 1 for connects in kept):
        wrong.append(f"kept connections were made {kept} times")
    wrong += [f"the log has errors: {line}" for line in server.log.splitlines() if " ERROR " in line][:5]
    if "lost between two generations" in server.log:
        wrong.append("connections were lost between two generations")
    return wrong


def report(load: Any, took: list[float], wrong: list[str]) -> str:
    """The page, in Markdown."""
    kinds: dict[str, list[Any]] = defaultdict(list)
    for client in load.clients:
        kinds[client.kind].append(client)
    rows = "\n".join(
        f"| {kind} | {len(clients)} | {sum(one.answered for one in clients)} | {sum(one.connects for one in clients)} "
        f"| {sum(one.failure is not None for one in clients)} |"
        for kind, clients in kinds.items()
    )
    verdict = "All of it held." if not wrong else "It did **not** hold:\n\n" + "\n".join(f"- {one}" for one in wrong)
    return f"""# Restarts under a mixed load

Made by `python benchmarks/mixed_soak.py --restarts {len(took)}` on {time.strftime("%Y-%m-%d")}: {len(took)} restarts,
{load.answered} answers, 2 workers, Python {platform.python_version()}, {os.cpu_count()} cores that other programs
used as well.

What was looked for: no request lost, no connection that ended without a notice, and connections that are plain and
kept alive through all restarts. {verdict}

- From the order until the new generation served: median {statistics.median(took):.2f} s, longest {max(took):.2f} s.

| clients | how many | answers | connections | failed |
|---|---|---|---|---|
{rows}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Restarts under a mixed load.")
    parser.add_argument("--restarts", type=int, default=200)
    parser.add_argument("--write", type=Path, help="the page to write the result to")
    options = parser.parse_args()
    load, took, wrong = run(options.restarts)
    page = report(load, took, wrong)
    print(page)
    if options.write is not None:
        options.write.write_text(page)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
