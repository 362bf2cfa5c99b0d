"""What workers are sent about certificates and session tickets, and when."""

from __future__ import annotations

import asyncio
import time

import pytest
from deadlines import DEADLINE_SECONDS

from gracehttp import events
from gracehttp.supervisor.certificates import watch as module
from gracehttp.supervisor.certificates.watch import CertificateWatch
from gracehttp.wire import messages
from gracehttp.wire.messages import CertificateFacts, CertificatesLoaded, UseTicketSecret

YEAR = 366 * 86400.0


def facts(path="cert.pem", left=YEAR):
    return CertificateFacts(path, ("localhost",), time.time() - YEAR, time.time() + left)


class World:
    def __init__(self, tmp_path, monkeypatch):
        self.file = tmp_path / "cert.pem"
        self.file.write_text("first")
        self.sent, self.events = [], []
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)

    def watch(self, record=None):
        return CertificateWatch(lambda *sent: self.sent.append(sent), self.events.append, lambda: 1, record)

    def begin(self, watch, *workers, **options):
        for worker in workers:
            watch.introduced(1, worker, (str(self.file),))
            watch.loaded(1, worker, CertificatesLoaded(0, "first", (facts(**options),)))

    def secrets(self):
        return {worker: order.secret for worker, order in self.sent if isinstance(order, UseTicketSecret)}

    async def until(self, kind, count=1):
        async with asyncio.timeout(DEADLINE_SECONDS):
            while sum(isinstance(order, kind) for _, order in self.sent) < count:
                await asyncio.sleep(0)


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch)


def run(scenario):
    asyncio.run(scenario())


def test_all_workers_get_one_secret_which_is_shown_nowhere(world):
    async def scenario():
        watch = world.watch()
        world.begin(watch, 1, 2)
        watch.close()
        secrets = world.secrets()
        assert secrets.keys() == {1, 2}
        assert len(set(secrets.values())) == 1
        assert len(secrets[1]) == 32
        shown = f"{world.sent} {watch.carry()}"
        assert str(secrets[1])[2:-1] not in shown

    run(scenario)


def test_a_new_secret_comes_in_its_time_and_goes_to_all(world, monkeypatch):
    async def scenario():
        watch = world.watch()
        world.begin(watch, 1, 2)
        first = world.secrets()[1]
        monkeypatch.setattr(module, "NEW_SECRET_SECONDS", 0.0)
        world.sent.clear()
        await world.until(UseTicketSecret, 2)
        watch.close()
        assert world.secrets()[1] == world.secrets()[2] != first

    run(scenario)


def test_the_next_supervisor_goes_on_with_the_secret_and_the_certificates(world):
    async def scenario():
        watch = world.watch()
        world.begin(watch, 1)
        watch.close()
        after = world.watch(watch.carry())
        world.sent.clear()
        world.begin(after, 2)
        after.close()
        assert world.secrets() == {2: watch.carry().secret}
        assert [one.path for one in after.used] == ["cert.pem"]

    run(scenario)


def test_a_program_without_tls_is_sent_nothing_and_looks_at_nothing(world):
    async def scenario():
        watch = world.watch()
        watch.introduced(1, 1, ())
        assert (world.sent, watch._timer, watch.used) == ([], None, ())

    run(scenario)


def test_an_old_file_is_prepared_by_all_and_a_change_is_told_once(world):
    async def scenario():
        watch = world.watch()
        world.begin(watch, 1, 2)
        await world.until(messages.PrepareCertificates, 2)
        for worker in (1, 2):
            watch.loaded(1, worker, CertificatesLoaded(1, "second", (facts(left=100.5 * 86400),)))
        watch.close()
        used = [sent for sent in world.sent if isinstance(sent[1], messages.UseCertificates)]
        assert used == [(1, messages.UseCertificates(1)), (2, messages.UseCertificates(1))]
        assert world.events == [events.CertificatesChanged(1, ("cert.pem",), 2, 100)]

    run(scenario)


def test_that_a_certificate_expires_is_told_once_a_day(world, monkeypatch):
    async def scenario():
        watch = world.watch()
        world.begin(watch, 1, 2, left=3.5 * 86400)
        told = [events.CertificateExpires("cert.pem", ("localhost",), 3)]
        assert world.events == told
        now = time.time()
        monkeypatch.setattr(module.time, "time", lambda: now + 86400)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(world.events) < 2:
                await asyncio.sleep(0)
        watch.close()
        assert world.events == [*told, events.CertificateExpires("cert.pem", ("localhost",), 2)]

    run(scenario)


@pytest.mark.parametrize(
    ("days", "sentence"),
    [
        (3.5, "crl.pem expires in 3 days, and each client of its authority is refused then; a new one"),
        (-0.5, "crl.pem has expired: each client of its authority is refused; a new one"),
    ],
)
def test_that_a_list_of_revoked_certificates_expires_is_told_and_it_counts_as_no_certificate(world, days, sentence):
    async def scenario():
        watch = world.watch()
        crl = CertificateFacts("crl.pem", (), time.time() - YEAR, time.time() + days * 86400, is_crl=True)
        watch.introduced(1, 1, (str(world.file),))
        watch.loaded(1, 1, CertificatesLoaded(0, "first", (facts(), crl)))
        assert [one.path for one in watch.used] == ["cert.pem"]
        await world.until(messages.PrepareCertificates)
        watch.loaded(1, 1, CertificatesLoaded(1, "second", (facts(left=100.5 * 86400), crl)))
        watch.close()
        told, changed = world.events
        assert isinstance(told, events.RevocationListExpires)
        assert sentence in str(told)
        assert changed == events.CertificatesChanged(1, ("cert.pem",), 1, 100)

    run(scenario)
