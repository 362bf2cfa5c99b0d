"""Audits that the system refuses."""

from __future__ import annotations

import asyncio
import errno
import os
from types import SimpleNamespace

from deadlines import DEADLINE_SECONDS

from gracehttp.events import PermitsNotCounted, PermitsReclaimed
from gracehttp.supervisor.listeners import auditor
from gracehttp.supervisor.listeners.auditor import Auditor


class Pool:
    """Permits of which `lost` are a dead worker's; the first audits are refused."""

    def __init__(self, lost, refused):
        self.refused = refused
        self.lost = lost

    def forget(self, slot):
        pass

    def audit(self, living, none_on_their_way):
        if self.refused:
            self.refused -= 1
            raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))
        return self.lost


def test_an_audit_that_is_refused_is_told_once_and_done_later_and_does_not_hinder_those_of_other_ports(monkeypatch):
    monkeypatch.setattr(auditor, "REFUSED_SECONDS", 0.001)

    async def scenario():
        told = asyncio.Queue()
        listeners = [
            SimpleNamespace(number=1, bound="one", pool=Pool(3, refused=5)),
            SimpleNamespace(number=2, bound="two", pool=Pool(2, refused=0)),
        ]
        audits = Auditor(listeners, lambda: (), lambda number: True, told.put_nowait)
        audits.worker_died(7)
        assert await told.get() == PermitsNotCounted("one", os.strerror(errno.ENFILE))
        assert await told.get() == PermitsReclaimed("two", 2)
        listeners[1].pool.lost = 0
        assert await told.get() == PermitsReclaimed("one", 3)
        audits.close()

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))
