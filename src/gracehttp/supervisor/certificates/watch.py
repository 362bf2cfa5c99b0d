"""Looks at the files of certificates, has workers change them, and makes the secret of TLS session tickets.

stat(2) once a second, while there is a generation with such files: some microseconds for each file. It follows symbolic
links, so it sees a file that is written in place, one that is renamed over it, and a link that is turned to another
folder (`..data` of Kubernetes). It works on every file system (docs/decisions/0019-certificates-that-change.md).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from gracehttp import events
from gracehttp.supervisor.certificates.changes import (
    Changes,
    ChangesRecord,
    Do,
    Loaded,
    Signature,
    days,
    near_their_end,
)
from gracehttp.supervisor.certificates.contents import Contents
from gracehttp.supervisor.guard import guarded
from gracehttp.values import EMPTY, Descriptor, Value
from gracehttp.wire import messages

LOOK_SECONDS: Final = 1.0
NEW_SECRET_SECONDS: Final = 12 * 3600.0
"""How long one secret encrypts session tickets. A ticket of OpenSSL lives for two hours, RFC 8446 allows a week."""
SECRET_BYTES: Final = 32
_MOST_GIVEN: Final = 16


class CertificatesRecord(Value):
    """All of it, to go on with in another process."""

    secret: bytes
    secret_made_at: float
    generations: Mapping[int, ChangesRecord]
    contents: Mapping[int, Mapping[str, Descriptor]] = EMPTY

    def __repr__(self) -> str:
        return "CertificatesRecord(...)"


class CertificateWatch:
    """`send(worker, order)` sends an order to a worker that lives. `serving()` is the number of the generation that
    serves."""

    def __init__(
        self,
        send: Callable[[int, messages.Order], None],
        publish: Callable[[events.Event], None],
        serving: Callable[[], int | None],
        record: CertificatesRecord | None = None,
        *,
        read: Callable[[Iterable[str]], int | None] = lambda paths: None,
    ) -> None:
        """Begin without generations, or with those that another process carried. `read` reads files for workers that
        may not: see `FilesForWorkers.read`."""
        self._loop = asyncio.get_running_loop()
        self._send = send
        self._publish = publish
        self._serving = serving
        self._generations: dict[int, Changes] = {}
        self._secret = record.secret if record else b""
        self._secret_made_at = record.secret_made_at if record else 0.0
        self._contents = Contents(record.contents if record else EMPTY)
        self._read = read
        self._given: list[int] = []  # descriptors of what was read, the latest ones: orders may wait to be sent
        self._told: dict[str, int] = {}  # that a certificate expires: how many days were left
        self._timer: asyncio.TimerHandle | None = None
        for number, one in record.generations.items() if record else ():
            self._generations[number] = Changes.adopt(one)
        self._look_later()

    def carry(self) -> CertificatesRecord:
        return CertificatesRecord(
            secret=self._secret,
            secret_made_at=self._secret_made_at,
            generations={number: one.carry() for number, one in self._generations.items()},
            contents=self._contents.carry(),
        )

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._given:
            os.close(self._given.pop())

    # --- what workers say ---

    def introduced(self, generation: int, worker: int, files: tuple[str, ...]) -> None:
        """A worker that is about to be welcomed has these files."""
        if not files:
            return
        changes = self._generations.setdefault(generation, Changes(files))
        contents = self._contents.of(generation, changes.used.digest) if changes.used is not None else None
        if contents is None:
            contents = self._read_now(files)
        if contents is not None:
            self._send(worker, messages.TakeCertificates(contents))
        self._send(worker, messages.UseTicketSecret(self._ticket_secret()))
        self._look_later()

    def loaded(self, generation: int, worker: int, report: messages.CertificatesLoaded) -> None:
        changes = self._generations.get(generation)
        if report.contents is not None:
            self._contents.keep(generation, report.digest, report.contents)
        if changes is not None:
            if worker not in changes.workers:
                self._send(worker, messages.UseTicketSecret(self._ticket_secret()))  # a new one may have come meanwhile
            self._act(generation, changes, changes.loaded(worker, report.change, _loaded(report)))
            self._tell_of_ends()

    def refused(self, generation: int, worker: int, report: messages.CertificatesRefused) -> None:
        changes = self._generations.get(generation)
        if changes is not None:
            self._act(generation, changes, changes.refused(worker, report.change, report.reason))

    def gone(self, generation: int, worker: int) -> None:
        """The worker has ended, or drains."""
        changes = self._generations.get(generation)
        if changes is not None:
            self._act(generation, changes, changes.gone(worker))

    def forget(self, generation: int) -> None:
        """The generation is gone."""
        self._generations.pop(generation, None)
        self._contents.forget(generation)

    @property
    def used(self) -> tuple[messages.CertificateFacts, ...]:
        """The certificates of the generation that serves."""
        return tuple(one for one in self._used_with_lists if not one.is_crl)

    @property
    def _used_with_lists(self) -> tuple[messages.CertificateFacts, ...]:
        number = self._serving()
        changes = self._generations.get(number) if number is not None else None
        return changes.used.certificates if changes is not None and changes.used is not None else ()

    # --- looking ---

    def _look_later(self) -> None:
        if self._timer is None and self._generations:
            self._timer = self._loop.call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        guarded("look at certificates", self._look_at_all)
        self._look_later()

    def _look_at_all(self) -> None:
        now = self._loop.time()
        for number, changes in list(self._generations.items()):
            self._act(number, changes, changes.looked(signature(changes.files), now))
            if changes.used is not None and not changes.under_way:
                self._contents.forget_others(number, changes.used.digest)
        if self._secret and now >= self._secret_made_at + NEW_SECRET_SECONDS:
            self._secret = b""
            order = messages.UseTicketSecret(self._ticket_secret())
            for changes in self._generations.values():
                for worker in changes.workers:
                    self._send(worker, order)
        self._tell_of_ends()

    def _act(self, generation: int, changes: Changes, what: Do) -> None:
        match what:
            case Do.PREPARE:
                order = messages.PrepareCertificates(changes.number, self._read_now(changes.files))
                for worker in sorted(changes.workers):
                    self._send(worker, order)
            case Do.USE:
                for worker in sorted(changes.workers):
                    self._send(worker, messages.UseCertificates(changes.number))
                self._tell_of_change(generation, changes)
            case Do.REFUSE:
                self._publish(events.CertificatesRefused(generation, changes.reason))

    def _read_now(self, files: tuple[str, ...]) -> Descriptor | None:
        memory = self._read(files)
        if memory is None:
            return None
        self._given.append(memory)
        if len(self._given) > _MOST_GIVEN:
            os.close(self._given.pop(0))
        return Descriptor(memory)

    def _tell_of_change(self, generation: int, changes: Changes) -> None:
        assert changes.used is not None
        certificates = [one for one in changes.used.certificates if not one.is_crl]
        left = min(days(one.not_after - time.time()) for one in certificates)
        paths = tuple(one.path for one in certificates)
        self._publish(events.CertificatesChanged(generation, paths, len(changes.workers), left))

    def _tell_of_ends(self) -> None:
        for one, left in near_their_end(self._used_with_lists, time.time()).items():
            if self._told.get(one.path) != left:
                self._told[one.path] = left
                self._publish(
                    events.RevocationListExpires(one.path, left)
                    if one.is_crl
                    else events.CertificateExpires(one.path, one.names, left)
                )

    def _ticket_secret(self) -> bytes:
        if not self._secret:
            self._secret = os.urandom(SECRET_BYTES)
            self._secret_made_at = self._loop.time()
        return self._secret


def signature(files: tuple[str, ...]) -> Signature:
    """See `Signature`; a file that isn't there has an empty part."""
    return tuple(map(_signature_of, files))


def _signature_of(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _loaded(report: messages.CertificatesLoaded) -> Loaded:
    return Loaded(report.digest, report.certificates)
