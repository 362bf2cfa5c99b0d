"""What an order to pause or to drain means for each kind of connection of a port."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from gracehttp.applications.registry import ApplicationSettings
from gracehttp.http.connection import Terms
from gracehttp.wire.messages import DrainReason
from gracehttp.worker.drain import Drain
from gracehttp.worker.port_terms import STAY, PortTerms
from gracehttp.worker.service import Service, ServiceSettings
from gracehttp.worker.successors import NO_SUCCESSORS, Successors

ANSWER, SOON, MOVE = Terms.LAST_RESPONSE, Terms.SOON, Terms.HAND_OVER
PORT, QUEUE = 3, 7


@pytest.mark.parametrize(
    ("reason", "successors", "expected"),
    [
        (None, NO_SUCCESSORS, (ANSWER, ANSWER, ANSWER)),
        (None, Successors.of([PORT]), (MOVE, ANSWER, ANSWER)),
        (None, Successors.of([PORT], [QUEUE], [PORT]), (MOVE, MOVE, ANSWER)),
        (DrainReason.RESTART, NO_SUCCESSORS, (ANSWER, ANSWER, ANSWER)),
        (DrainReason.RESTART, Successors.of([PORT]), (MOVE, ANSWER, ANSWER)),
        (DrainReason.RESTART, Successors.of([PORT], tls=[PORT]), (MOVE, MOVE, ANSWER)),
        (DrainReason.RESTART, Successors.of([PORT], [QUEUE + 1], [PORT]), (ANSWER, ANSWER, ANSWER)),
        (DrainReason.RESTART, Successors.of([PORT + 1], tls=[PORT + 1]), (ANSWER, ANSWER, ANSWER)),
        (DrainReason.STOP, NO_SUCCESSORS, (SOON, SOON, SOON)),
        (DrainReason.STOP, Successors.of([PORT]), (MOVE, SOON, SOON)),
    ],
)
def test_the_successors_decide_who_is_handed_over_and_the_reason_how_the_others_end(reason, successors, expected):
    async def scenario():
        settings = ServiceSettings(ApplicationSettings(lifespan="off", threads=1, multiprocess=False))
        service = Service(settings, lambda *what: None, lambda event: None)
        service._drain = Drain(reason, 10.0, 0.0) if reason else None
        service._successors = successors
        assert service._terms_of(SimpleNamespace(number=PORT, queue=QUEUE)) == PortTerms(*expected)

    asyncio.run(scenario())


@pytest.mark.parametrize("can_move", [False, True])
@pytest.mark.parametrize("secure", [False, True])
def test_a_connection_has_the_terms_of_its_kind(can_move, secure):
    connection = SimpleNamespace(can_move=can_move, stream=SimpleNamespace(secure=secure))
    terms = PortTerms(plain=MOVE, tls=ANSWER, others=SOON).of(connection)
    assert terms is (SOON if not can_move else ANSWER if secure else MOVE)


def test_a_port_without_a_handover_queue_hands_nothing_over():
    terms = PortTerms(plain=MOVE, tls=MOVE, others=SOON)
    assert terms.hand_over
    assert terms.without_handover() == PortTerms.of_all(SOON)
    assert not terms.without_handover().hand_over
    assert not STAY.hand_over
    assert PortTerms(tls=MOVE, plain=ANSWER).hand_over
