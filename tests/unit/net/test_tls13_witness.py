"""What is learned of a session while OpenSSL has it: its secrets, its records, and whether both fit."""

from __future__ import annotations

import os
import random
import ssl

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("cryptography")

from gracehttp.net.tls13.handover import continue_session, new_key_log, witness_of
from gracehttp.net.tls13.key_log import KeyLog
from gracehttp.net.tls13.keys import CIPHERS, HANDSHAKE, TrafficKeys
from gracehttp.net.tls13.session import ContinuedSession
from gracehttp.net.tls13.witness import Witness

AUTHORITY = trustme.CA()
ISSUED = AUTHORITY.issue_cert("localhost")


def server_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ISSUED.configure_cert(context)
    return context


def client_context(version=ssl.TLSVersion.TLSv1_3):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    AUTHORITY.configure_trust(context)
    context.minimum_version = context.maximum_version = version
    return context


class Talk:
    """A client and a server of OpenSSL in memory, with a witness of the server's."""

    def __init__(self, key_log, server, client=None, session=None):
        self.witness = Witness(key_log)
        self.to_server, self.to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._from_client, self._from_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server.wrap_bio(self.to_server, self._from_server, server_side=True)
        self.client = (client or client_context()).wrap_bio(
            self.to_client, self._from_client, server_hostname="localhost", session=session
        )
        self.could_go = None

    def begin(self, *, step=True):
        """The first flights: the server's secret is known by now, and the client's not yet."""
        with pytest.raises(ssl.SSLWantReadError):
            self.client.do_handshake()
        hello = self._from_client.read()
        self.witness.hello(hello)
        self.to_server.write(hello)
        with pytest.raises(ssl.SSLWantReadError):
            self.server.do_handshake()
        if step:
            self.witness.step()
        self.to_client.write(self._from_server.read())

    def shake_hands(self, with_last_flight=b""):
        first = self.client.version() is None and not self.to_client.pending
        while self.could_go is None:
            try:
                self.client.do_handshake()
                if with_last_flight:
                    self.client.write(with_last_flight)
            except ssl.SSLWantReadError:
                pass
            data = self._from_client.read()
            if first:
                self.witness.hello(data)
                first = False
            self.to_server.write(data)
            try:
                self.server.do_handshake()
            except ssl.SSLWantReadError:
                self.witness.step()
            else:
                self.witness.step()
                unread = self.to_server.pending
                self.could_go = self.witness.opened(self.server, data[len(data) - unread :])
            written = self._from_server.read()
            if self.could_go:
                self.witness.written(written)
            self.to_client.write(written)
        return self

    def ask(self, *pieces, cut=lambda records: [records]):
        """The client sends, the server reads."""
        for piece in pieces:
            self.client.write(piece)
        records = self._from_client.read()
        for part in cut(records):
            self.witness.read(part)
            self.to_server.write(part)
        for piece in pieces:
            assert self.server.read(65536) == piece

    def answer(self, *pieces):
        for piece in pieces:
            self.server.write(piece)
        records = self._from_server.read()
        self.witness.written(records)
        self.to_client.write(records)
        self.take(b"".join(pieces))

    def take(self, expected):
        taken = b""
        while len(taken) < len(expected):
            taken += self.client.read(65536)
        assert taken == expected

    def go_on(self):
        """The session as another process has it."""
        return ContinuedSession(self.witness.state())

    def ask_continued(self, session, data):
        self.client.write(data)
        session.incoming.write(self._from_client.read())
        received = b""
        while len(received) < len(data):
            received += session.read(65536)
        assert received == data

    def answer_continued(self, session, data):
        session.write(data)
        self.to_client.write(session.outgoing.read())
        self.take(data)


@pytest.fixture
def server():
    return server_context()


@pytest.fixture
def key_log(server):
    log = new_key_log([server])
    yield log
    log.close()


@pytest.mark.parametrize("requests", [0, 1, 7])
@pytest.mark.parametrize("size", [1, 16384, 16385, 100_000])
def test_openssls_client_notices_nothing_when_its_session_goes_on_elsewhere(key_log, server, requests, size):
    talk = Talk(key_log, server).shake_hands()
    assert talk.could_go
    for _ in range(requests):
        talk.ask(b"request")
        talk.answer(b"a" * size)
    session = talk.go_on()
    assert session.version() == "TLSv1.3"
    assert session.cipher()[0] == talk.server.cipher()[0]
    for _ in range(3):
        talk.ask_continued(session, b"r" * size)
        talk.answer_continued(session, b"a" * size)
        session = continue_session(session.state())  # and once more elsewhere
    session.unwrap()
    talk.to_client.write(session.outgoing.read())
    assert talk.client.read(10) == b"", "close_notify"


def test_a_request_that_comes_with_the_end_of_the_handshake_is_counted(key_log, server):
    talk = Talk(key_log, server).shake_hands(with_last_flight=b"early")
    assert talk.server.read(100) == b"early"
    session = talk.go_on()
    talk.ask_continued(session, b"request")
    talk.answer_continued(session, b"answer")


def test_a_resumed_session_goes_on_too(key_log, server):
    context = client_context()
    first = Talk(key_log, server, context).shake_hands()
    first.answer(b"x")  # the client reads its tickets with it
    second = Talk(key_log, server, context, session=first.client.session).shake_hands()
    assert second.client.session_reused
    second.ask(b"request")
    session = second.go_on()
    second.ask_continued(session, b"request")
    second.answer_continued(session, b"answer")


def test_a_client_whose_first_group_is_not_ours_goes_on_too(key_log, server):
    server.set_ecdh_curve("secp384r1")
    talk = Talk(key_log, server).shake_hands()  # HelloRetryRequest: two ClientHellos (RFC 8446 section 4.1.4)
    assert talk.could_go
    session = talk.go_on()
    talk.ask_continued(session, b"request")
    talk.answer_continued(session, b"answer")


@given(st.lists(st.binary(min_size=1, max_size=500), min_size=1, max_size=6), st.data())
@settings(max_examples=30, deadline=None)
def test_records_are_counted_wherever_they_are_cut(pieces, data):
    server = server_context()
    log = new_key_log([server])
    try:
        talk = Talk(log, server).shake_hands()

        def cut(records):
            at = sorted(data.draw(st.lists(st.integers(0, len(records)), max_size=12)))
            return [records[begin:end] for begin, end in zip([0, *at], [*at, len(records)], strict=True)]

        talk.ask(*pieces, cut=cut)
        session = talk.go_on()
        talk.ask_continued(session, b"request")
        talk.answer_continued(session, b"answer")
    finally:
        log.close()


def test_in_the_middle_of_a_record_it_does_not_go(key_log, server):
    talk = Talk(key_log, server).shake_hands()
    talk.client.write(b"request")
    records = talk._from_client.read()
    for at in range(1, len(records)):
        talk.witness.read(records[at - 1 : at])
        assert talk.witness.state() is None
    talk.witness.read(records[-1:])
    assert talk.witness.state() is not None


# --- what doesn't go ---


@pytest.mark.parametrize("extensions", [b"\x00\x01\x00\x01\x01", b"\x00\x17\x00\x00\x00\x01\x00\x01\x01"])
def test_a_client_that_wants_short_records_does_not_go(key_log, extensions):
    assert hello_is_taken(key_log, b"\x00\x17\x00\x00")
    assert not hello_is_taken(key_log, extensions)


@pytest.mark.parametrize("cut", [1, 5, 6, 9, 40, 50, 59])
def test_a_client_hello_that_is_none_is_not_taken(key_log, cut):
    hello = client_hello(b"\x00\x17\x00\x00")
    witness = Witness(key_log)
    witness.hello(hello[:cut])
    assert not witness._random
    witness.hello(b"\x17" + hello[1:])
    assert not witness._random


def hello_is_taken(key_log, extensions):
    witness = Witness(key_log)
    witness.hello(client_hello(extensions) + b"\x16\x03")
    return witness._random == bytes(range(32)).hex().encode()


def client_hello(extensions):
    body = b"\x03\x03" + bytes(range(32)) + b"\x02id" + b"\x00\x04\x13\x01\x13\x02" + b"\x01\x00"
    body += len(extensions).to_bytes(2, "big") + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message


def test_tls_1_2_does_not_go(key_log, server):
    talk = Talk(key_log, server, client_context(ssl.TLSVersion.TLSv1_2)).shake_hands()
    assert not talk.could_go


def test_a_client_that_was_asked_for_a_certificate_does_not_go(key_log, server):
    server.verify_mode = ssl.CERT_OPTIONAL
    AUTHORITY.configure_trust(server)
    client = client_context()
    AUTHORITY.issue_cert("client").configure_cert(client)
    talk = Talk(key_log, server, client).shake_hands()
    assert not talk.could_go


def test_a_session_of_a_context_without_key_log_does_not_go(key_log):
    talk = Talk(key_log, server_context()).shake_hands()
    assert not talk.could_go


@pytest.mark.parametrize("direction", ["read", "written"])
@pytest.mark.parametrize("last", [True, False], ids=["as the last record", "with a record behind it"])
def test_a_key_that_was_updated_is_found_out(key_log, server, direction, last):
    talk = Talk(key_log, server).shake_hands()
    talk.ask(b"request")
    talk.answer(b"answer")
    state = talk.witness.state()
    assert state is not None
    secret, sequence = (
        (state.read_secret, state.read_sequence) if direction == "read" else (state.write_secret, state.write_sequence)
    )
    keys = TrafficKeys(CIPHERS[state.cipher], bytearray(secret), sequence)
    records = keys.seal(HANDSHAKE, bytes((24, 0, 0, 1, 0)))
    if not last:
        keys.update()
        records += keys.seal(23, b"more")
    getattr(talk.witness, direction)(records)
    assert talk.witness.state() is None


@pytest.mark.parametrize("direction", ["read", "written"])
def test_a_count_that_is_wrong_is_found_out(key_log, server, direction):
    talk = Talk(key_log, server).shake_hands()
    talk.ask(b"request")
    talk.answer(b"answer")
    getattr(talk.witness, direction)(b"\x17\x03\x03\x00\x01\x00" + b"\x17\x03\x03\x00\x20" + random.randbytes(32))
    assert talk.witness.state() is None


# --- the key log ---


def test_nothing_is_left_in_the_key_log(key_log, server):
    for _ in range(3):
        Talk(key_log, server).shake_hands()
        assert os.fstat(key_log._file).st_size == 0


def test_secrets_are_overwritten_when_the_session_has_gone(key_log, server):
    talk = Talk(key_log, server).shake_hands()
    kept = list(talk.witness._secrets.values())
    state = talk.witness.state()
    assert all(any(secret) for secret in kept)
    talk.witness.wipe()
    assert not any(any(secret) for secret in kept)
    assert any(state.read_secret), "these are on their way"
    assert talk.witness.state() is None


def test_secrets_of_handshakes_at_the_same_time_are_told_apart(key_log, server):
    talks = [Talk(key_log, server) for _ in range(3)]
    for talk in talks:
        talk.begin()
    for talk in reversed(talks):
        talk.shake_hands()
    for talk in talks:
        assert talk.could_go
        talk.ask(b"request")
        session = talk.go_on()
        talk.ask_continued(session, b"request")
        talk.answer_continued(session, b"answer")


def test_secrets_that_are_not_those_of_the_session_are_overwritten(key_log, server):
    stranger, talk = Talk(key_log, server), Talk(key_log, server)
    stranger.begin(step=False)  # its line is left in the log
    talk.shake_hands()
    assert talk.could_go
    assert len(talk.witness._secrets) == 2
    assert os.fstat(key_log._file).st_size == 0


def test_the_key_log_of_people_gets_each_line_too(tmp_path):
    people = tmp_path / "keys"
    contexts = [server_context() for _ in range(3)]
    for context in contexts[:2]:
        context.keylog_filename = str(people)
    people.write_text("# before\n")
    log = new_key_log(contexts)
    for context in contexts:
        assert Talk(log, context).shake_hands().could_go
    log.close()
    lines = people.read_text()
    assert lines.startswith("# before\n")
    assert lines.endswith("\n")
    for label in ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"):
        assert lines.count(f"{label} ") == 3


def test_several_contexts_share_a_key_log():
    contexts = [server_context(), server_context()]
    log = new_key_log(contexts)
    for context in contexts:
        assert Talk(log, context).shake_hands().could_go
    log.close()


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"CLIENT_TRAFFIC_SECRET_0",
        b"CLIENT_TRAFFIC_SECRET_0 \n",
        b"CLIENT_TRAFFIC_SECRET_0 ab\n",
        b"\n\n",
        b"x y z\n",
    ],
)
def test_lines_that_are_no_secrets_mean_nothing(lines):
    log = KeyLog()
    os.write(log._file, lines)
    assert log.take() == {}
    log.close()


def test_a_witness_is_made_for_a_session(key_log):
    assert isinstance(witness_of(key_log), Witness)
