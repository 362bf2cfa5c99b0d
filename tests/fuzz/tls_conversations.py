"""A client that speaks TLS by a script of bytes, and what must hold at the server, whatever the script says.

A script is a row of steps: a byte that says which, one that says how much, and as many bytes as it takes.

    0  genuine application data             4  a genuine record that was cut short
    1  a genuine record of any kind         5  the record before, again
    2  KeyUpdate, or close_notify           6  the header of a record, of any length
    3  a genuine record, tampered with      7  bytes that are no record

Up to the first step that breaks a rule, what the client has sent is what is read. Afterwards nothing is, and the last
word to the client is an alert that it can open.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import trustme
from http_fakes import Kernel, Server

from gracehttp.net.deadlines import Deadlines
from gracehttp.net.stream import PlainStream
from gracehttp.net.tls13.key_log import KeyLog
from gracehttp.net.tls13.keys import (
    ALERT,
    APPLICATION_DATA,
    CIPHERS,
    HANDSHAKE,
    HEADER_BYTES,
    MOST_PLAIN_BYTES,
    MOST_SEALED_BYTES,
    TrafficKeys,
)
from gracehttp.net.tls13.records import (
    MOST_RECORDS_WITHOUT_DATA,
    Alert,
    ClientGaveUp,
    ClientViolated,
    ConnectionBroken,
    RecordLayer,
)
from gracehttp.net.tls13.session import ContinuedSession
from gracehttp.net.tls13.state import TlsState
from gracehttp.net.tls13.witness import Witness
from gracehttp.net.tls_stream import TlsStream

SUITES = sorted(CIPHERS)
KEY_UPDATES = (b"\x18\x00\x00\x01\x00", b"\x18\x00\x00\x01\x01")
_MOST_WORK = 200
"""Steps of a script: the rest is the same again."""


class Step(NamedTuple):
    what: int
    amount: int
    argument: bytes


def steps_of(script: bytes) -> Iterator[Step]:
    at = 0
    for _ in range(_MOST_WORK):
        if at + 2 > len(script):
            return
        what, amount = script[at] % 8, script[at + 1]
        at += 2
        argument = script[at : at + amount % 16] if what in (1, 6, 7) else b""
        at += len(argument)
        yield Step(what, amount, argument)


# --- the record layer alone, whose client's keys are known: what comes of each step is known, too ---


class RecordClient:
    """Makes the records of steps, and knows what they mean."""

    def __init__(self, suite: str, secret: bytes) -> None:
        self.keys = TrafficKeys(CIPHERS[suite], bytearray(secret), 0)
        self.meant = b""
        """The data that the server may read."""
        self.right = True
        """No rule was broken so far."""
        self.over = False
        """The client has ended its half, or the whole connection."""
        self._before = b""
        self._message = b""  # of a handshake, as far as it has come

    def records(self, step: Step) -> bytes:
        what, amount, argument = step
        if what == 0:
            content = bytes((amount,)) * (amount * amount % (MOST_PLAIN_BYTES + 1))
            return self._genuine(APPLICATION_DATA, content, amount % 3)
        if what == 1:
            return self._genuine(argument[0] if argument else 0, argument[1:], amount // 16)
        if what == 2 and amount % 4 == 3:
            return self._genuine(ALERT, bytes((1, Alert.CLOSE_NOTIFY)), 0)
        if what == 2:
            return self._genuine(HANDSHAKE, KEY_UPDATES[amount % 2], 0)
        if (what == 5 and not self._before) or (what == 7 and not argument):
            return b""
        self.right = self.right and self.over
        if what == 5:
            return self._before
        if what == 6:
            size = (argument + b"\xff\xff\xff")[:3]
            return bytes((APPLICATION_DATA,)) + b"\x03\x03" + size[:2] + bytes(amount)
        if what == 7:
            return argument
        record = self.keys.seal(APPLICATION_DATA, b"x" * amount)
        if what == 3:
            at = amount * 7 % len(record)
            return record[:at] + bytes((record[at] ^ (1 + amount % 255),)) + record[at + 1 :]
        return record[: -1 - amount % (len(record) - 1)]

    def _genuine(self, kind: int, content: bytes, padding: int) -> bytes:
        self._before = self.keys.seal(kind, content, min(padding, MOST_PLAIN_BYTES - len(content)))
        if self.right and not self.over:
            self._note(kind, content)
        return self._before

    def _note(self, kind: int, content: bytes) -> None:
        inner = (content + bytes((kind,))).rstrip(
            b"\x00"
        )  # what stands behind the last byte that isn't zero is padding
        kind, content = (inner[-1], inner[:-1]) if inner else (0, b"")
        if kind == HANDSHAKE and content:
            self._message += content
            if self._message in KEY_UPDATES:
                self._message = b""
                self.keys.update()
            else:
                self.right = any(update.startswith(self._message) for update in KEY_UPDATES)
        elif self._message:
            self.right = False
        elif kind == APPLICATION_DATA:
            self.meant += content
        elif kind == ALERT and len(content) == 2:
            self.over = content[1] != Alert.USER_CANCELED
        else:
            self.right = False


def record_layer(data: bytes) -> None:
    """The layer that goes on with a session. The first byte chooses the cipher suite, the second the cuts."""
    if len(data) < 2:
        return
    suite = SUITES[data[0] % len(SUITES)]
    secrets = [bytes((number,)) * CIPHERS[suite].secret_bytes for number in (1, 2)]
    layer = RecordLayer(TlsState(suite, bytearray(secrets[0]), 0, bytearray(secrets[1]), 0))
    ours = TrafficKeys(CIPHERS[suite], bytearray(secrets[1]), 0)
    client = RecordClient(suite, secrets[0])
    found = b""
    sent = b""
    broken: ConnectionBroken | None = None
    try:
        for number, step in enumerate(steps_of(data[2:])):
            records = client.records(step)
            cut = data[1] * len(records) // 256
            for piece in filter(None, (records[:cut], records[cut:])):
                layer.feed(piece)
                for read in iter(layer.next_data, None):
                    if not read:
                        break
                    found += read
                assert layer.ended or layer.unread_bytes < HEADER_BYTES + MOST_SEALED_BYTES
                if layer.ended:
                    assert found == client.meant
                    return
            if number % 3 == 0:
                sent += layer.seal(bytes((number,)) * (step.amount % 50))
    except ConnectionBroken as exc:
        broken = exc
    assert client.meant.startswith(found)
    said = _opened(ours, sent + layer.take_owed())
    if broken is None:
        assert not client.right or found == client.meant
        return
    _is_broken(layer)
    if isinstance(broken, ClientViolated):
        assert said[-1] == (ALERT, bytes((2, broken.alert)))
        if client.right:  # the one thing that is no mistake and not gone on with
            assert broken.alert is Alert.UNEXPECTED_MESSAGE
            assert len(data) // 2 > MOST_RECORDS_WITHOUT_DATA
    else:
        assert isinstance(broken, ClientGaveUp)
        assert found == client.meant
        assert client.over


def _opened(keys: TrafficKeys, records: bytes) -> list[tuple[int, bytes]]:
    """What the client makes of records of the server: kind and content of each."""
    said, at = [], 0
    while at < len(records):
        end = at + HEADER_BYTES + int.from_bytes(records[at + 3 : at + 5], "big")
        inner = keys.open(records[at : at + HEADER_BYTES], records[at + HEADER_BYTES : end])
        said.append((inner[-1], inner[:-1]))
        if inner[-1] == HANDSHAKE:
            keys.update()
        at = end
    return said


def _is_broken(layer: RecordLayer) -> None:
    with contextlib.suppress(ConnectionBroken):
        layer.next_data()
        raise AssertionError("it reads on")
    with contextlib.suppress(ConnectionBroken):
        layer.seal(b"x")
        raise AssertionError("it writes on")
    assert layer.close() == b""


# --- the whole stream, on a kernel that isn't there ---


class Contexts(NamedTuple):
    server: ssl.SSLContext
    client: ssl.SSLContext
    key_log: KeyLog


@cache
def contexts() -> Contexts:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)
    key_log = KeyLog()
    key_log.attach(server)
    return Contexts(server, client, key_log)


class Consumer:
    """Of a stream, and its owner; keeps what it is told, and echoes it."""

    def __init__(self) -> None:
        self.stream: Any = None
        self.got = b""
        self.closes = 0

    def received(self, data: bytes) -> None:
        assert not self.closes
        self.got += data
        self.stream.write(data)

    def ended(self) -> None:
        assert not self.closes
        self.stream.close(linger=True)

    def ended_unread(self) -> None:
        assert not self.closes

    def writable_again(self) -> None:
        assert not self.closes

    def stream_closed(self) -> None:
        self.closes += 1


def stream(data: bytes) -> None:
    """A TLS stream. The first byte says how it begins: from the first byte of its client; behind a handshake of TLS 1.2
    or 1.3; or in a process that goes on with a session of another one."""
    if not data:
        return
    begin = data[0] % 4
    server = Server()
    kernel = Kernel(server.poller)
    seen = Consumer()
    plain = PlainStream(kernel, server.streams, seen, seen)  # type: ignore[arg-type]  # a fake
    handshakes = Deadlines(10, server.loop)  # type: ignore[arg-type]  # a fake
    context, client_context, key_log = contexts()
    witness = Witness(key_log) if begin != 1 else None
    seen.stream = one = TlsStream(plain, context, seen, handshakes=handshakes, witness=witness)

    def send(records: bytes) -> None:
        if records and not kernel.closed:
            kernel.inbox.append(records)
            while not kernel.closed and kernel.tell():
                server.loop.run_soon()

    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    heard = 0

    def listen() -> None:
        nonlocal heard
        incoming.write(bytes(kernel.sent[heard:]))
        heard = len(kernel.sent)

    if begin:
        client_context.maximum_version = ssl.TLSVersion.TLSv1_2 if begin == 1 else ssl.TLSVersion.TLSv1_3
        tls = client_context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        while not one.opened:
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
            send(outgoing.read())
            listen()
        tls.write(b"first")
        send(outgoing.read())
        assert seen.got == b"first"
    if begin == 3:
        state = one.state()
        assert state is not None
        one.stay()
        plain.consumer = plain.owner = seen
        seen.stream = one = TlsStream(plain, None, seen, session=ContinuedSession(state))

    meant, right, before = b"first" if begin else b"", bool(begin), b""
    for what, amount, argument in steps_of(data[1:]):
        if kernel.closed:
            break
        if what in (0, 1, 3, 4) and begin:
            content = bytes((amount,)) * (1 + amount * amount % MOST_PLAIN_BYTES)
            try:
                tls.write(content)
            except ssl.SSLError:  # the server has ended the session
                break
            record = before = outgoing.read()
            if what in (0, 1) and right:
                meant += content
        elif what == 2 and begin:
            with contextlib.suppress(ssl.SSLError):
                tls.unwrap()
            record, right = outgoing.read(), False
        elif what == 5:
            record, right = before, right and not before
        elif what == 6:
            record, right = bytes((argument or b"\x17")[:1]) + b"\x03\x03" + bytes((amount, amount)), False
        else:
            record, right = argument, right and not argument
        if what == 3 and record:
            at = amount * 7 % len(record)
            record, right = record[:at] + bytes((record[at] ^ (1 + amount % 255),)) + record[at + 1 :], False
        elif what == 4:
            record, right = record[: -1 - amount % max(1, len(record) - 1)], False
        cut = amount * len(record) // 256
        send(record[:cut])
        send(record[cut:])
        assert not right or seen.got == meant
        assert seen.got.startswith(meant) or meant.startswith(seen.got)
        if not kernel.closed:
            with contextlib.suppress(ssl.SSLError):
                listen()
            _ = one.mid_record, one.unsent_bytes, one.reading, one.shut
            if one.can_move and amount % 5 == 0:
                found = one.state()
                if found is not None:
                    found.wipe()
    server.loop.pass_time(300)
    if not kernel.closed:
        one.close(linger=True)
        server.loop.pass_time(300)
    assert kernel.closed
    assert seen.closes == 1
    handshakes.close()
