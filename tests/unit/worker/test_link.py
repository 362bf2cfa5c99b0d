"""What a worker does when its supervisor orders something, and when the supervisor is gone."""

from __future__ import annotations

import asyncio

import pytest
import uvloop
from deadlines import DEADLINE_SECONDS

from gracehttp.errors import CertificateError
from gracehttp.events import ChannelLost, ConnectionsShed, SupervisorLost
from gracehttp.events.bus import EventBus
from gracehttp.wire import messages
from gracehttp.wire.channel import Channel, ChannelBroken, channel_pair
from gracehttp.wire.messages import DrainReason
from gracehttp.worker.link import SupervisorLink
from gracehttp.worker.successors import NO_SUCCESSORS, Successors

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Recorder:
    """Stands for the service, and for what counts requests: writes down each call."""

    def __init__(self, calls):
        self.calls = calls

    def __getattr__(self, name):
        return lambda *arguments: self.calls.append((name, *arguments))


class FakeCertificates:
    """Writes down each order. Can't prepare if there is a `complaint`."""

    facts = (messages.CertificateFacts("server.pem", ("localhost",), 1.0, 2.0),)
    digest = "cafe"

    def __init__(self):
        self.calls = []
        self.complaint = None

    def write_contents(self):
        return None

    def prepare(self, contents):
        if self.complaint:
            raise CertificateError(self.complaint)
        self.calls.append(("prepare", contents))

    def use(self):
        self.calls.append(("use",))

    def use_ticket_secret(self, secret):
        self.calls.append(("use_ticket_secret", secret))


class Scene:
    def __init__(self):
        self.certificates = FakeCertificates()
        self.calls, self.counts, self.events = [], [], []
        ours, theirs = channel_pair()
        self.supervisor, self.channel = ours, Channel(theirs)
        self.service, self.counter, self.bus = Recorder(self.calls), Recorder(self.counts), EventBus()
        self.bus.subscribe(self.events.append)
        self.ends = []
        self.link = SupervisorLink(
            self.channel,
            self.service,
            self.certificates,
            self.counter,
            self.counter,
            5.0,
            self.bus,
            end_at_once=lambda: self.ends.append("at once"),
        )

    async def order(self, *orders):
        """Send them, with a ping behind, and return what was reported before the answer to that."""
        for order in (*orders, messages.Ping()):
            self.supervisor.send(order)
        reports = []
        while not reports or not isinstance(reports[-1], messages.Alive):
            await asyncio.sleep(0)
            reports += self.supervisor.receive()
        return reports[:-1]

    def close(self):
        self.supervisor.close()
        self.channel.close()


@pytest.fixture(params=LOOPS)
def play(request):
    def run(scenario):
        async def with_scene():
            scene = Scene()
            try:
                with scene.link:
                    await scenario(scene)
            finally:
                scene.close()

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(asyncio.wait_for(with_scene(), DEADLINE_SECONDS))

    return run


@pytest.mark.parametrize(
    ("order", "call"),
    [
        (messages.Serve(), ("accept",)),
        (messages.Pause((1,), (7001,), (1,)), ("pause", Successors.of([1], [7001], [1]))),
        (messages.Drain(DrainReason.STOP, 3.0), ("order_drain", DrainReason.STOP, 3.0, NO_SUCCESSORS, False)),
        (
            messages.Drain(DrainReason.RESTART, 3.0, (1, 2), (), (2,), True),
            ("order_drain", DrainReason.RESTART, 3.0, Successors.of([1, 2], [], [2]), True),
        ),
        (messages.OthersStopped(), ("others_stopped",)),
        (messages.Hold(), ("hold",)),
        (messages.Resume(), ("resume",)),
    ],
    ids=lambda one: type(one).__name__,
)
def test_an_order_is_carried_out_by_the_service(play, order, call):
    async def scenario(scene):
        await scene.order(order)
        assert scene.calls[0] == call

    play(scenario)


def test_certificates_are_prepared_and_used_on_order_and_what_was_prepared_is_reported(play):
    async def scenario(scene):
        reports = await scene.order(
            messages.PrepareCertificates(3), messages.UseCertificates(3), messages.UseTicketSecret(b"secret")
        )
        assert scene.certificates.calls == [("prepare", None), ("use",), ("use_ticket_secret", b"secret")]
        assert reports == [messages.CertificatesLoaded(3, "cafe", FakeCertificates.facts)]

    play(scenario)


def test_certificates_that_cannot_be_used_are_refused(play):
    async def scenario(scene):
        scene.certificates.complaint = "it has expired."
        assert await scene.order(messages.PrepareCertificates(3)) == [
            messages.CertificatesRefused(3, "it has expired.")
        ]

    play(scenario)


def test_requests_are_counted_while_the_worker_serves(play):
    async def scenario(scene):
        await scene.order(messages.Serve())
        assert scene.counts == [("begin",)] * 2
        await scene.order(messages.Drain(DrainReason.RESTART, 3.0))
        assert scene.counts == [("begin",)] * 2 + [("end",)] * 2

    play(scenario)


def test_a_worker_that_was_told_to_pause_says_when_it_has(play):
    async def scenario(scene):
        assert await scene.order(messages.Pause(())) == [messages.Paused()]

    play(scenario)


def test_what_the_supervisor_must_know_is_reported(play):
    async def scenario(scene):
        scene.service.on_stopped_accepting()
        scene.counter.on_due_for_recycling("it is old")
        scene.counter.on_count(40, 3)
        scene.bus.publish(ConnectionsShed(7, "127.0.0.1:80", 3))
        scene.link.report_stage("importing main:app")
        assert await scene.order() == [
            messages.StoppedAccepting(),
            messages.DueForRecycling("it is old"),
            messages.Answered(40, 3),
            messages.Shed(7, 3),
            messages.StageBegan("importing main:app"),
        ]

    play(scenario)


def test_a_supervisor_is_lost_once_however_often_one_looks(play):
    async def scenario(scene):
        scene.supervisor.close()
        for _ in range(3):
            scene.link._receive()
        await asyncio.sleep(0)
        assert [type(event) for event in scene.events] == [SupervisorLost]
        assert scene.calls == [("supervisor_lost", 5.0)]

    play(scenario)


def test_a_worker_whose_channel_broke_ends_at_once_and_drops_nothing_that_its_siblings_have(play):
    """The supervisor may live: the queues and listeners are those of other workers too."""

    async def scenario(scene):
        def broken():
            raise ChannelBroken("Bad file descriptor")

        scene.channel.receive = broken
        scene.link._receive()
        assert scene.ends == ["at once"]
        assert [type(event) for event in scene.events] == [ChannelLost]
        assert scene.calls == []

    play(scenario)
