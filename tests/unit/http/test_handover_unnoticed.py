"""A client notices nothing of a handover: whatever it had sent by then, whatever it does next, and however often its
connection goes on elsewhere. Each case is played twice, without and with the handover, and the client gets the same
bytes, the application the same requests, and the connection ends in the same way at the same time.

Every message between the processes is written and read as on the wire.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import h2.config
import h2.connection
import pytest
from http_fakes import Server, Wire, answer
from websocket_client import handshake, text

from gracehttp.http.connection import NEW, Connection, Terms
from gracehttp.http.settings import Http2Settings
from gracehttp.wire.handover import Carried, decode, encode

GET = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
CHUNKED = b"POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-a: b\r\n\r\n"
HTTP10 = b"GET /4 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
UPGRADE = (
    b"GET /5 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: %b\r\n\r\n"
)
UNKNOWN = b"GET /6 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: irc\r\n\r\n"
LAST = b"GET /7 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
WEBSOCKET = handshake() + text("one")
FIN, RST = "FIN", "RST"
LIMITS = {"header_timeout_seconds": 10, "keep_alive_timeout_seconds": 17, "body_timeout_seconds": 13}
SECONDS_BEFORE, SECONDS_BEHIND, SECONDS_OBSERVED = 4, 3, 45
LONGEST_SECONDS = max(LIMITS.values())


def preface_and_request() -> bytes:
    client = h2.connection.H2Connection(h2.config.H2Configuration())
    client.initiate_connection()
    client.send_headers(1, [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/h2")], True)
    return client.data_to_send()


HTTP2 = preface_and_request()


class State(NamedTuple):
    """`before`: the pieces that the client has sent before the handover. `rest`: what it sends next in any case, if it
    sends anything. `goes`: the connection can go at once. `held`: requests are answered only when the drain has begun.
    """

    before: tuple[bytes, ...] = ()
    rest: bytes = b""
    goes: bool = True
    held: bool = False


STATES = {
    "new": State(),
    "an empty line": State((b"\r\n",)),
    "half an empty line": State((b"\r",), b"\n"),
    "empty lines in pieces": State((b"\r\n\r", b"\n\r\n")),
    "half a request line": State((GET[:5],), GET[5:], goes=False),
    "an empty line and half a request line": State((b"\r\n" + GET[:5],), GET[5:], goes=False),
    "half a head": State((GET[:-3],), GET[-3:], goes=False),
    "half a body": State((POST + b"a",), b"b", goes=False),
    "half a preface": State((HTTP2[:10],), HTTP2[10:], goes=False),
    "http/2": State((HTTP2,), goes=False),
    "after a request": State((GET,)),
    "after two like ones": State((GET, GET)),
    "after pipelined requests": State((GET + POST + b"ab" + GET,)),
    "after a request and half a request line": State((GET, GET[:5]), GET[5:], goes=False),
    "after a request and half a head in one piece": State((GET + GET[:-3],), GET[-3:], goes=False),
    "after a request and half a preface": State((GET, HTTP2[:10]), HTTP2[10:], goes=False),
    "after a request and an empty line": State((GET, b"\r\n")),
    "after a request and half an empty line": State((GET + b"\r",), b"\n"),
    "after a body": State((POST + b"ab",)),
    "after chunks": State((CHUNKED,)),
    "after http/1.0": State((HTTP10,)),
    "after an upgrade to what is not known": State((UNKNOWN,)),
    "after an upgrade with settings that are none": State((UPGRADE % b"AAAA",)),
    "after an upgrade to http/2": State((UPGRADE % b"",), goes=False),
    "websocket": State((WEBSOCKET,), goes=False),
    "in flight": State((GET,), held=True),
    "in flight, and pipelined ones wait": State((GET + POST + b"ab" + GET,), held=True),
    "in flight, and half a request waits": State((GET, GET[:5]), GET[5:], held=True),
    "in flight, and half an empty line waits": State((GET + b"\r",), b"\n", held=True),
    "in flight, and http/2 waits": State((GET + HTTP2,), held=True),
    "in flight, and an upgrade to http/2 waits": State((GET + UPGRADE % b"",), held=True),
    "in flight, and a websocket waits": State((GET + WEBSOCKET,), held=True),
    "in flight, and the last one waits": State((GET + LAST,), held=True),
    "in flight over http/1.0, and nonsense waits": State((HTTP10 + b"\x00\r\n\r\n",), held=True),
}
# What it does next.
NEXT: dict[str, list[Any]] = {
    "a request": [GET],
    "a request in two pieces": [GET[:5], GET[5:]],
    "two requests": [GET + GET],
    "an empty line and a request": [b"\r\n" + GET],
    "an empty line, then a request": [b"\r\n", GET],
    "a request with a body": [POST, b"ab"],
    "chunks": [CHUNKED],
    "http/1.0": [HTTP10],
    "the last request": [LAST],
    "http/2": [HTTP2],
    "http/2 in two pieces": [HTTP2[:10], HTTP2[10:]],
    "half a preface": [HTTP2[:10]],
    "an upgrade to http/2": [UPGRADE % b""],
    "a websocket": [WEBSOCKET],
    "nonsense": [b"\x00\x01\x02\r\n\r\n"],
    "half a request": [GET[:20]],
    "a request and the end": [GET, FIN],
    "half a request and the end": [GET[:20], FIN],
    "nothing": [],
    "the end": [FIN],
    "a reset": [RST],
}


class Client:
    """A client's connection, in whatever process it is. `received` is all that the client got."""

    def __init__(self) -> None:
        self.received = b""
        self.requests: list[Any] = []
        self.refusals = 0  # so many times the queue has no room
        self.journeys = 0  # so many times it is to go on in another process
        self.held = False  # the application keeps the next request
        self.exchange: Any = None
        self.waiting: Any = None  # for the rest of its request
        self.ended: tuple[float, str] | None = None
        self.wire = self._arrive(NEW, 0.0)

    def _arrive(self, carried: Carried, now: float, inbox: Any = ()) -> Wire:
        server = Server(self._handle, http2=Http2Settings(cleartext=True), date_header=False, **LIMITS)
        server.loop.now += now
        self.began = server.loop.now - now
        server.application.handle_websocket = self._accept
        wire = Wire(server=server, carried=carried)
        wire.kernel.inbox.extend(inbox)
        self.wire = wire
        wire.loop.pass_time(0)
        wire.turn()
        return wire

    def _handle(self, exchange: Any) -> None:
        head = exchange.head
        self.requests.append(
            (head.method, head.target, head.http_version, head.scheme, head.client, head.server, list(head.headers))
        )
        if self.held and self.exchange is None:
            self.exchange = exchange
        elif exchange.take_body() is None:
            exchange.when_gone = lambda gone: self.requests.append("gone")
            self.waiting = exchange
        else:
            answer(exchange, head.target)

    def _accept(self, session: Any) -> None:
        self.requests.append("websocket")
        session.accept()

    @property
    def now(self) -> float:
        return self.wire.loop.now - self.began

    def answer_held(self) -> None:
        self.held = False
        if self.exchange is not None:
            answer(self.exchange, self.exchange.head.target)

    def look(self) -> None:
        wire = self.wire
        wire.loop.pass_time(0)  # uvloop calls timers before it reads
        waiting = self.waiting
        if waiting is not None and waiting.body.complete and not waiting.response_started and not waiting.disconnected:
            answer(waiting, waiting.take_body()[0])
        wire.turn()
        if self.ended is None and wire.how_it_ended not in ("open", "moved"):
            self.ended = round(2 * self.now) / 2, wire.how_it_ended

    def do(self, actions: list[Any]) -> None:
        for action in actions:
            if self.wire.kernel.closed:
                return
            if action is FIN:
                self.wire.send_eof()
            elif action is RST:
                self.wire.vanish()
            else:
                self.wire.send(action)
            self.look()

    def pass_time(self, seconds: int) -> None:
        """What happens is looked at each half a second."""
        for _ in range(2 * seconds):
            if self.ended is None or not self.wire.kernel.closed:
                due = (int(2 * self.now + 0.001) + 1) / 2
                while self.now < due - 0.001:  # in the middle of it the connection may go to another process
                    self.wire.loop.pass_time(due - self.now)
                self.look()

    # --- the drain ---

    def drain(self) -> None:
        """The process in which it is ends, as `worker.departures` has it: it is offered when it is at rest."""
        self.wire.owner.on_rested = self._offer
        self.wire.connection.see_off(Terms.HAND_OVER)
        self._offer(self.wire.connection)

    def _offer(self, connection: Connection) -> None:
        wire = self.wire
        if not self.journeys or connection is not wire.connection or wire.kernel.closed:
            return
        parcel = connection.pack()
        if parcel is None:
            return
        (carried,) = decode(encode([parcel.carried]))
        if self.refusals:
            self.refusals -= 1
            connection.unpack()
            wire.loop.call_later(0.02, self._offer, connection)
            return
        connection.left()
        self.journeys -= 1
        self.received += bytes(wire.kernel.sent)
        self._arrive(carried, self.now, wire.kernel.inbox)
        if self.journeys:
            self.drain()

    @property
    def story(self) -> dict[str, Any]:
        received = self.received + bytes(self.wire.kernel.sent)
        return {"received": received, "requests": self.requests, "ended": self.ended}


class Handover(NamedTuple):
    """`journeys`: to so many processes, one after the other; 0: the client stays where it is. `refusals`: so often the
    queue has no room before. `early`: the first thing that the client does next is in the kernel when the connection
    goes. `late`: so is the end of its time."""

    journeys: int = 1
    refusals: int = 0
    early: bool = False
    late: bool = False


HANDOVERS = {
    "once": Handover(),
    "twice": Handover(2),
    "when there is room": Handover(refusals=3),
    "with what is on its way": Handover(early=True),
    "twice with what is on its way": Handover(2, early=True),
    "when the time is over": Handover(late=True),
    "when the time is over with what is on its way": Handover(early=True, late=True),
    "when the time is over and there is room": Handover(refusals=1, early=True, late=True),
}


def play(state: State, then: list[Any], handover: Handover) -> Client:
    client = Client()
    client.held = state.held
    client.do(list(state.before))
    client.pass_time(SECONDS_BEFORE)
    actions = list(then)
    if actions and isinstance(actions[0], bytes):
        actions[0] = state.rest + actions[0]
    if handover.early and actions and actions[0] is not RST:
        action = actions.pop(0)
        client.wire.kernel.inbox.append(b"" if action is FIN else action)
    if handover.late:
        client.wire.loop.now += LONGEST_SECONDS
    client.journeys, client.refusals = handover.journeys, handover.refusals
    if handover.journeys:
        client.drain()
    client.answer_held()
    client.wire.turn()
    client.pass_time(SECONDS_BEHIND)
    client.left_to_go = client.journeys
    client.do(actions)
    client.pass_time(SECONDS_OBSERVED)
    return client


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
@pytest.mark.parametrize("handover", HANDOVERS.values(), ids=HANDOVERS)
def test_what_a_client_gets_is_the_same_with_a_handover(state, handover):
    for name, then in NEXT.items():
        expected = play(state, then, handover._replace(journeys=0))
        client = play(state, then, handover)
        assert client.story == expected.story, name
        if not (handover.early or handover.late or handover.refusals):
            assert (client.left_to_go < handover.journeys) == state.goes, f"{name}: it goes if it can"
