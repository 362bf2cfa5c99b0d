"""How many instructions a request takes in user space: the same on any machine of a kind, however busy it is.

    apt install valgrind
    python -m benchmarks.instructions            # tell
    python -m benchmarks.instructions --check    # exit status 1 if they have risen by more than 5 % of what is recorded
    python -m benchmarks.instructions --write    # record them in instructions.json
    python -m benchmarks.instructions --scenes 6 --profiles .  # only this one; see where they go: callgrind_annotate(1)
    python -m benchmarks.instructions --scenes 1 --metrics     # what counting it for the metrics takes (--check: 2 %)

A server runs in valgrind, which counts only while it is told to (`--instr-atstart=no`, then callgrind_control). One
client sends request after request, on one connection or each on a new one. The batches that nothing else disturbs, such
as a timer, are the most, so their median is taken. `--metrics` looks for a difference that is smaller than what a timer
takes: there it is the least of many. Hashes aren't randomised. What the kernel does isn't counted. Over
TLS the library's own work is, and the handshake isn't.

What is recorded holds for one version of CPython and one build of gracehttp (compiled or interpreted); others are
recorded beside it. Other versions of Django or uvloop than those in the file change the figures too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .installed import Installation
from .loads import BROWSER_HEADERS
from .scenes.requests import ORDER
from .server import Server
from .session import BenchmarkFailed, Session, certificate, session, told

RECORD = Path(__file__).with_name("instructions.json")
MOST_RISE = 0.05
WARM_UP = 100
"""Requests before counting: the interpreter specialises code that has run some times (PEP 659)."""
BATCHES, BATCH = 7, 40
BATCHES_FOR_THE_LEAST = 60
MOST_SHARE_OF_METRICS = 0.02
"""Of a small GET: what the metrics may cost."""
LIMIT_SECONDS = 300.0
"""It takes about one minute; a machine that is busy with other things takes longer."""
START_SECONDS = 60.0
TOGETHER = ("django", "uvloop")


@dataclass(frozen=True)
class Counted:
    """A scene of the benchmark, by its number there."""

    scene: int
    title: str
    app: str
    headers: tuple[str, ...] = ()
    kept: bool = True
    """One connection for all requests."""
    tls: bool = False
    body: bytes = b""
    """What is posted; without one it is a GET."""


SCENES = (
    Counted(1, "small GET", "benchmarks.applications:hello"),
    Counted(2, "small GET with 12 header fields", "benchmarks.applications:hello", BROWSER_HEADERS),
    Counted(3, "JSON POST of 2 KB", "benchmarks.applications:post", body=ORDER.encode()),
    Counted(6, "new connection for each", "benchmarks.applications:hello", ("Connection: close",), kept=False),
    Counted(8, "Django, WSGI", "benchmarks.django_app:app"),
    Counted(10, "TLS, kept", "benchmarks.applications:hello", tls=True),
)


def count(
    frame: Session,
    installation: Installation,
    scene: Counted,
    profile: Path | None = None,
    *,
    options: Sequence[str] = (),
    batches: int = BATCHES,
) -> list[int]:
    """Instructions of each of some batches, the server being started with `options`. A profile of the least of them is
    left at `profile`."""
    with frame.part() as part:
        command = [
            *("valgrind", "--tool=callgrind", "--instr-atstart=no", "--trace-children=yes"),
            f"--callgrind-out-file={part.folder}/counts.%p",
            *(str(installation.python), "-m", "gracehttp", "serve", scene.app, "--bind", "127.0.0.1:{port}"),
            *("--loop", "uvloop", "--threads", "1", "--no-access-log", *options),
        ]
        own = certificate(part.folder) if scene.tls else None
        if own is not None:
            command += ["--certfile", str(own.chain), "--keyfile", str(own.key)]
        trust = own.trust if own is not None else None
        environment = installation.environment(frame.bytecode) | {"PYTHONHASHSEED": "0"}
        server = part.ends.enter_context(Server(part, "valgrind", command, environment=environment, trust=trust))
        server.wait_until_ready(START_SECONDS)
        (worker,) = server.processes()[1:]
        with _Client(server.port, scene, trust) as client:
            client.ask(WARM_UP)
            _control("-i", "on", worker)
            client.ask(BATCH)  # what is translated anew, now with counters
            _control("-z", worker)
            for _ in range(batches):
                client.ask(BATCH)
                _control("-d", worker)
        dumps = sorted(part.folder.glob(f"counts.{worker}.*"), key=lambda path: int(path.suffix[1:]))
        counted = [_total(path) for path in dumps]
        if profile is not None:
            shutil.copy(dumps[counted.index(min(counted))], profile)
    if len(counted) != batches:
        raise BenchmarkFailed(f"valgrind wrote {len(counted)} counts instead of {batches}:\n{server.name}")
    return counted


def usual(batches: Sequence[int]) -> int:
    """Instructions per request."""
    return round(statistics.median(batches) / BATCH)


def undisturbed(batches: Sequence[int]) -> int:
    """Instructions per request, as in the batch in which nothing else happened."""
    return round(min(batches) / BATCH)


def cost_of_metrics(
    frame: Session, installation: Installation, scene: Counted, profiles: Path | None = None
) -> tuple[float, str]:
    """The share of a request that counting it takes, and a sentence that tells it. Profiles of both are left in
    `profiles`."""
    without, counting = (
        undisturbed(
            count(
                frame,
                installation,
                scene,
                _profile(profiles, scene, suffix),
                options=options,
                batches=BATCHES_FOR_THE_LEAST,
            )
        )
        for suffix, options in (("", ()), ("-metrics", ("--metrics", "127.0.0.1:0")))
    )
    share = (counting - without) / without
    what = f"{counting - without:,} of {without:,} instructions per request, {share:.1%}"
    goal = f" (goal: at most {MOST_SHARE_OF_METRICS:.0%})" if scene.scene == 1 else ""
    return share, f"scene {scene.scene}, {scene.title}: {what}{goal}"


def _profile(folder: Path | None, scene: Counted, suffix: str = "") -> Path | None:
    return folder and folder / f"scene{scene.scene}{suffix}.callgrind"


def _control(*arguments: object) -> None:
    command = ["callgrind_control", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if "OK" not in done.stdout:
        raise BenchmarkFailed(f"{' '.join(command)}: {done.stdout}{done.stderr}")


def _total(path: Path) -> int:
    found = re.search(r"^totals: (\d+)", path.read_text(), re.MULTILINE)
    if not found:
        raise BenchmarkFailed(f"{path} has no total.")
    return int(found[1])


class _Client:
    """Asks for `/` as the scene wants it; a context manager."""

    def __init__(self, port: int, scene: Counted, trust: ssl.SSLContext | None) -> None:
        """`trust` is for a server that speaks TLS."""
        headers = ["Host: localhost", *scene.headers]
        if scene.body:
            headers += ["Content-Type: application/json", f"Content-Length: {len(scene.body)}"]
        method = "POST" if scene.body else "GET"
        self._request = "\r\n".join([f"{method} / HTTP/1.1", *headers, "", ""]).encode() + scene.body
        self._port = port
        self._trust = trust
        self._kept = self._connect() if scene.kept else None

    def __enter__(self) -> _Client:
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept is not None:
            self._kept.close()

    def ask(self, times: int) -> None:
        for _ in range(times):
            if self._kept is not None:
                self._exchange(self._kept)
                continue
            with self._connect() as sock:
                self._exchange(sock)
                if sock.recv(1):
                    raise BenchmarkFailed("There was more behind the response.")

    def _connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        return sock if self._trust is None else self._trust.wrap_socket(sock, server_hostname="localhost")

    def _exchange(self, sock: socket.socket) -> None:
        sock.sendall(self._request)
        received = b""
        while not _is_whole(received):
            data = sock.recv(65536)
            if not data:
                raise BenchmarkFailed(f"The connection ended after {received!r}")
            received += data


def _is_whole(received: bytes) -> bool:
    head, separator, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return bool(separator and length) and len(body) >= int(length[1] if length else 0)


# --- what is recorded ---


def kind(installation: Installation) -> str:
    """Of the build: CPython's version, and whether gracehttp is compiled."""
    command = [str(installation.python), "-m", "gracehttp", "--version"]
    asked = subprocess.run(command, env=installation.environment(), capture_output=True, text=True, check=False)
    asked_python = subprocess.run(
        [str(installation.python), "-c", "import platform; print('.'.join(platform.python_version_tuple()[:2]))"],
        capture_output=True,
        text=True,
        check=True,
    )
    build = "interpreted" if "interpreted" in asked.stdout else "compiled"
    return f"CPython {asked_python.stdout.strip()}, {build}"


def rises(counted: Mapping[str, int], recorded: Mapping[str, int]) -> list[str]:
    """A sentence for each scene that takes more than it may."""
    return [
        f"scene {scene} takes {now:,} instructions, {now / before - 1:.1%} more than the {before:,} that are recorded "
        f"(at most {MOST_RISE:.0%})"
        for scene, now in counted.items()
        if (before := recorded.get(scene)) and now > before * (1 + MOST_RISE)
    ]


def falls(counted: Mapping[str, int], recorded: Mapping[str, int]) -> list[str]:
    """A sentence for each scene that takes so much less that the record should follow."""
    return [
        f"scene {scene} takes {now:,} instructions, {1 - now / before:.1%} less than recorded: record it (--write)"
        for scene, now in counted.items()
        if (before := recorded.get(scene)) and now < before * (1 - MOST_RISE)
    ]


def _read() -> dict[str, Any]:
    with contextlib.suppress(FileNotFoundError):
        record: dict[str, Any] = json.loads(RECORD.read_text())
        return record
    return {}


def options_from(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Instructions per request, by valgrind.")
    parser.add_argument("--check", action="store_true", help="compare with what is recorded")
    parser.add_argument("--write", action="store_true", help="record it")
    parser.add_argument("--scenes", nargs="+", type=int, metavar="N", help="only these, by their numbers")
    parser.add_argument("--ours", default=sys.executable, metavar="PATH", help="as of `python -m benchmarks`")
    parser.add_argument("--profiles", type=Path, metavar="FOLDER", help="leave profiles for callgrind_annotate there")
    parser.add_argument("--metrics", action="store_true", help="what the metrics cost: with them, and without")
    options = parser.parse_args(arguments)
    if options.write and options.scenes:
        parser.error("what is recorded are all scenes: no --scenes with --write")
    return options


def main() -> int:
    options = options_from()
    scenes = [scene for scene in SCENES if not options.scenes or scene.scene in options.scenes]
    if shutil.which("callgrind_control") is None or shutil.which("valgrind") is None:
        raise BenchmarkFailed("valgrind is not installed. On Debian: apt install valgrind")
    if platform.machine() != "x86_64":
        print(f"Instructions of {platform.machine()} aren't those of x86_64, on which the record was made.")
    installation = Installation.parse(options.ours)
    name, record = kind(installation), _read()
    if options.check and name not in record:
        print(f"{RECORD.name} has no record for {name}, so that there is nothing to compare. Make one: --write")
        return 0
    cores = sorted(os.sched_getaffinity(0))
    with session(server_core=cores[0], client_core=cores[-1], limit_seconds=LIMIT_SECONDS) as frame:
        if options.metrics:
            _tell_cost_of_metrics(frame, installation, scenes, options)
            return 0
        counted = {
            str(scene.scene): usual(count(frame, installation, scene, _profile(options.profiles, scene)))
            for scene in scenes
        }
    recorded: dict[str, int] = record.get(name, {}).get("instructions", {})
    _tell_counts(scenes, counted, recorded)
    if options.write:
        _write(record, name, installation, counted)
    else:
        _compare(counted, recorded, must_not_rise=options.check)
    return 0


def _tell_cost_of_metrics(
    frame: Session, installation: Installation, scenes: Sequence[Counted], options: argparse.Namespace
) -> None:
    for scene in scenes:
        share, sentence = cost_of_metrics(frame, installation, scene, options.profiles)
        print(sentence)
        if options.check and scene.scene == 1 and share > MOST_SHARE_OF_METRICS:
            raise BenchmarkFailed("That is more than the goal.")


def _tell_counts(scenes: Sequence[Counted], counted: Mapping[str, int], recorded: Mapping[str, int]) -> None:
    for scene in scenes:
        before = recorded.get(str(scene.scene))
        beside = f" (recorded: {before:,})" if before else ""
        print(f"scene {scene.scene}, {scene.title}: {counted[str(scene.scene)]:,} instructions per request{beside}")


def _write(record: dict[str, Any], name: str, installation: Installation, counted: Mapping[str, int]) -> None:
    facts = installation.facts("gracehttp", "gracehttp", *TOGETHER)
    versions = {one: facts[one] for one in ("python", *TOGETHER) if one in facts}
    record[name] = {"versions": versions, "instructions": dict(counted)}
    RECORD.write_text(json.dumps(dict(sorted(record.items())), indent=1) + "\n")


def _compare(counted: Mapping[str, int], recorded: Mapping[str, int], *, must_not_rise: bool) -> None:
    for sentence in falls(counted, recorded):
        print(sentence)
    risen = rises(counted, recorded)
    if must_not_rise and risen:
        raise BenchmarkFailed("\n".join(risen))


if __name__ == "__main__":
    sys.exit(told(main))
