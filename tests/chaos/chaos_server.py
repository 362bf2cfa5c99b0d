"""A server whose application counts, and what the kernel tells about its processes."""

from __future__ import annotations

import contextlib
import datetime
import re
import signal
import threading
import time
from pathlib import Path

from server_harness import Server, is_alive, wait_until

from gracehttp.wire.control import abstract_name

APPLICATION = """
    import asyncio
    import mmap
    import os
    from urllib.parse import parse_qsl

    def begin():  # in each process, also in one that is forked after this was imported
        global PID, COUNTER, answered
        PID = os.getpid()
        os.makedirs("counters", exist_ok=True)
        with open(f"counters/{PID}", "w+b") as file:
            file.truncate(8)
            COUNTER = mmap.mmap(file.fileno(), 8)  # it outlives the process, however that ends
        answered = 0

    begin()
    os.register_at_fork(after_in_child=begin)

    def text(size):
        return b"".join(b"%07d\\n" % number for number in range(size // 8))

    async def app(scope, receive, send):
        global answered
        query = dict(parse_qsl(scope["query_string"].decode()))
        if "sleep" in query:
            await asyncio.sleep(float(query["sleep"]))
        received, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            received += len(message.get("body", b""))
            more = message.get("more_body", False)
        answered += 1
        COUNTER[:] = answered.to_bytes(8, "little")
        first = f"{PID} {scope['method']} {query['c']} {query['n']} {received}\\n".encode()
        body = first + text(int(query.get("size", "0")))
        length = str(len(body)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        for start in range(0, len(body), 65536):
            piece = body[start : start + 65536]
            await send({"type": "http.response.body", "body": piece, "more_body": start + len(piece) < len(body)})
"""
"""Answers PID, method, the client's connection and count, the size of the request body, and `size` bytes of text."""

BROKEN_APPLICATION = "def app(:\n"


class ChaosServer(Server):
    """`gracehttp serve` with the counting application."""

    def __init__(
        self, folder, *, bind="127.0.0.1:0", workers=2, loop="auto", limit=10_000, options=(), environment=None
    ):
        self.limit = limit
        super().__init__(
            folder,
            "-m",
            "gracehttp",
            *("serve", "application:app", "--bind", bind, "--workers", workers, "--loop", loop, "--no-access-log"),
            *("--max-connections", limit, "--log-level", "info", "--lifespan", "off", *options),
            files={"application.py": APPLICATION},
            environment=environment,
        )

    def generations(self):
        """The generation of each PID, as the log tells it."""
        found = re.findall(r"of generation (\d+) started, pid (\d+)", self.log)
        return {int(pid): int(generation) for generation, pid in found}

    def templates(self):
        """The PID of the template of each generation that has had one."""
        found = re.findall(r"the template of generation (\d+) has imported the application, pid (\d+)", self.log)
        return {int(generation): int(pid) for generation, pid in found}

    def counted(self):
        """How many requests the application has answered, in all processes that ever lived."""
        return sum(int.from_bytes(one.read_bytes(), "little") for one in (self.folder / "counters").iterdir())

    def ended_by_force(self):
        """The workers that the supervisor has killed, each with the time of `time.monotonic`."""
        return self._times(r"\(pid (\d+)\) is ended by force: ")

    def draining_since(self):
        """When each worker began to drain, by PID, in `time.monotonic`."""
        return dict(self._times(r"\[(\d+)\] draining \d+ connections?\b"))

    def _times(self, pattern):
        """PID and time of each line that matches; the time is a millisecond too early at most."""
        offset = time.time() - time.monotonic()
        found = (re.search(rf"^(\S+ \S+) .*?{pattern}", line) for line in self.log.splitlines())
        return [
            (int(match[2]), datetime.datetime.fromisoformat(match[1]).timestamp() - offset) for match in found if match
        ]

    def free_permits(self):
        """The free permits of the one listener, as the supervisor's eventfds count them (proc_pid_fdinfo(5)).

        The smaller of the two counts is the debt that a lowered limit leaves, and here no limit is lowered.
        """
        infos = []
        for path in Path(f"/proc/{self.pid}/fdinfo").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed since the folder was read
                infos.append(path.read_text())
        counts = [int(count, 16) for info in infos for count in re.findall(r"eventfd-count:\s*([0-9a-f]+)", info)]
        debt, free = sorted(counts)
        assert debt == 0
        return free

    def open_connections(self):
        return self.status()["listeners"][0]["open_connections"]

    def wait_until_all_permits_are_free(self):
        wait_until(lambda: self.open_connections() == 0, what="no open connection")
        wait_until(lambda: self.free_permits() == self.limit, what=f"{self.limit} free permits")

    def stop_and_leave_nothing(self, *files):
        """Stop gracefully, and hold the service to what it promises for its end. `files` is what the test made."""
        workers = self.workers()
        assert self.stop(signal.SIGTERM) == 0, self.log
        self.assert_nothing_is_left(workers, *files)

    def assert_nothing_is_left(self, workers, *files):
        """The supervisor has ended; `workers` are the PIDs of its children, `files` is what the test made."""
        assert not any(map(is_alive, workers))
        assert "Exception in callback" not in self.log, self.log
        assert abstract_name(self.pid).replace("\0", "@") not in Path("/proc/net/unix").read_text()
        left = {path.name for path in self.folder.iterdir()} - {"application.py", "counters", *files}
        assert not left, "temporary files"


class LimitWatch:
    """Looks at the kernel's table of TCP sockets, again and again, while it is in a `with` statement."""

    def __init__(self, port):
        self._port = f":{port:04X}"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.most = 0
        """The most connections that were certainly open at one moment."""
        self.latest = 0
        """How many were certainly open at the moment of the latest look."""
        self.looks = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._stopped.set()
        self._thread.join()

    def _watch(self):
        before = set()
        while not self._stopped.wait(0.01):
            # The table is no snapshot, but who is in two of them was open all the time between.
            now = self._accepted()
            self.latest = len(before & now)
            self.most = max(self.most, self.latest)
            self.looks += 1
            before = now

    def _accepted(self):
        """The inodes of accepted connections. One that waits in the kernel's queue has none yet, a closed one none."""
        inodes = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(self._port) and fields[3] != "0A" and fields[9] != "0":
                inodes.add(fields[9])
        return inodes
