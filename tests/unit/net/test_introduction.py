"""The stage in which a proxy introduces its client, on real sockets."""

from __future__ import annotations

import pytest
from floor import BOTH, runner_for, until
from gracehttp.net.deadlines import Deadlines
from gracehttp.net.introduction import Introduction
from gracehttp.net.proxy_protocol import ProxyHeader

HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n"
TOLD = ProxyHeader(True, ("192.0.2.1", 56324), ("192.0.2.9", 443))


@pytest.fixture(params=BOTH)
def run(request):
    return runner_for(request.param)
