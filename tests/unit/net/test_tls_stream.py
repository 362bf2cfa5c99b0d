"""The TLS stream on real sockets, with OpenSSL as its client."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import trustme
from deadlines import DEADLINE_SECONDS
from floor import BOTH, LOOPS, STALL_SECONDS, Seen, aborted, opened, runner_for, turns, until
from garbage import garbage_of_ours
from tls_ends import context_of

from gracehttp.net.deadlines import Deadlines
from gracehttp.net.ending import LINGER_SECONDS
from gracehttp.net.kernel_view import is_readable
from gracehttp.net.poller import READABLE, Pollable
from gracehttp.net.stream import HOLD_BYTES, PlainStream
from gracehttp.net.system_calls import READ_BYTES
from gracehttp.net.tls13.key_log import KeyLog
from gracehttp.net.tls13.records import RecordLayer
from gracehttp.net.tls13.session import ContinuedSession
from gracehttp.net.tls13.state import TlsState
from gracehttp.net.tls13.witness import Witness
from gracehttp.net.tls_stream import TlsStream

AUTHORITY = trustme.CA()
ISSUED = AUTHORITY.issue_cert("localhost")
BIG = bytes(range(256)) * 2048
HANDSHAKE_SECONDS = 10.0
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
GOES_ON = "1.3 that goes on"
"""After its handshake the session goes on as if another process had it, without OpenSSL."""

KEY_LOGS = {}
"""By the context that they are attached to."""

every_version = pytest.mark.parametrize("version", VERSIONS)
every_session = pytest.mark.parametrize("version", [*VERSIONS, GOES_ON])


@pytest.fixture(params=BOTH)
def run(request):
    return runner_for(request.param)


@pytest.fixture(params=["asyncio-epoll", "uvloop-epoll"])
def run_epoll(request):
    return runner_for(request.param)


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """The server's."""
    folder = tmp_path_factory.mktemp("certificate")
    ISSUED.cert_chain_pems[0].write_to_path(folder / "c")
    ISSUED.private_key_pem.write_to_path(folder / "k")
    return context_of(str(folder / "c"), str(folder / "k"), alpn=("h2", "http/1.1"))


class TlsClient:
    """OpenSSL in memory, on the client's end of a connection."""

    def __init__(self, client, version="1.3", alpn=()):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if os.environ.get("SSLKEYLOGFILE"):
            context.keylog_filename = os.environ["SSLKEYLOGFILE"]
        AUTHORITY.configure_trust(context)
        context.minimum_version = context.maximum_version = VERSIONS[version[:3]]
        if alpn:
            context.set_alpn_protocols(list(alpn))
        self.client = client
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    async def _read(self):
        data = await asyncio.get_running_loop().sock_recv(self.client.socket, 65536)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    def hello(self):
        """The first that a client says."""
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    async def shake_hands(self, send=None):
        """`send` sends what the client says."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await (send or self.client.send_all)(self.outgoing.read())
                await self._read()
            else:
                break
        await (send or self.client.send_all)(self.outgoing.read())

    def records(self, *pieces):
        """One record for each of `pieces`."""
        for piece in pieces:
            self.tls.write(piece)
        return self.outgoing.read()

    def send(self, *pieces):
        self.client.send(self.records(*pieces))

    def close_notify(self):
        """Our end of the session, as bytes."""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLSyscallError):  # the server's has not come yet
            self.tls.unwrap()
        return self.outgoing.read()

    async def take(self, size):
        taken = b""
        while len(taken) < size:
            try:
                taken += self.tls.read(size - len(taken))
            except ssl.SSLWantReadError:
                await self._read()
        return taken

    async def take_all(self):
        """Everything up to close_notify. Raises `ssl.SSLEOFError` if the connection ends without one."""
        taken = []
        while True:
            try:
                data = self.tls.read(65536)
            except ssl.SSLWantReadError:
                await self._read()
            except ssl.SSLZeroReturnError:
                break
            else:
                if not data:
                    break
                taken.append(data)
        return b"".join(taken)


class Session:
    """A TLS stream, its client, and what consumer and owner have seen."""

    def __init__(self, floor, context, version="1.3", *, small=False, alpn=(), sockets=None, answer_plain=None):
        self.seen = Seen()
        self.opened = []
        self.handshakes = Deadlines(HANDSHAKE_SECONDS, floor.clock)
        floor.own(contextlib.closing(self.handshakes))
        self.raw, server = sockets or floor.tcp(small=small)
        self.plain = PlainStream(server, floor.services, self.seen, self.seen)
        witness = None
        if version == GOES_ON:
            if context not in KEY_LOGS:
                KEY_LOGS[context] = KeyLog()
                KEY_LOGS[context].attach(context)
            witness = Witness(KEY_LOGS[context])
        self.stream = TlsStream(
            self.plain,
            context,
            self.seen,
            handshakes=self.handshakes,
            on_open=self.opened.append,
            answer_plain=answer_plain,
            witness=witness,
        )
        floor.own(aborted(self.stream))
        self.client = TlsClient(self.raw, version, alpn) if self.raw else None

    @classmethod
    async def open(cls, floor, context, version="1.3", *, goes_on=True, **options):
        """Of version GOES_ON it goes on, unless not `goes_on`: then it can."""
        session = cls(floor, context, version, **options)
        await session.client.shake_hands()
        await until(lambda: session.opened)
        if version == GOES_ON and goes_on:
            session.go_on(floor)
        return session

    def go_on(self, floor):
        """As if the descriptor and the state had gone to another process."""
        state = self.stream.state()
        self.stream.stay()
        self.plain.consumer = self.plain.owner = self.seen
        self.stream = TlsStream(self.plain, None, self.seen, session=ContinuedSession(state))
        floor.own(aborted(self.stream))


# --- the handshake ---


@every_version
def test_a_handshake_may_come_byte_by_byte(run, context, version):
    async def scenario(floor):
        session = Session(floor, context, version)

        async def send_bytes(data):
            for at in range(len(data)):
                session.raw.send(data[at : at + 1])
                await turns(1)

        assert not session.stream.opened
        await session.client.shake_hands(send_bytes)
        await until(lambda: session.opened)
        assert session.stream.opened
        assert session.client.tls.version() == f"TLSv{version}"
        assert session.opened == [None]
        assert len(session.handshakes) == 0

    run(scenario)


@pytest.mark.parametrize(("alpn", "chosen"), [((), None), (("http/1.1", "h2"), "h2"), (("http/1.1",), "http/1.1")])
def test_what_alpn_has_chosen_is_passed_on(run, context, alpn, chosen):
    async def scenario(floor):
        session = await Session.open(floor, context, alpn=alpn)
        assert session.opened == [chosen]

    run(scenario)


def test_a_request_that_comes_with_the_end_of_the_handshake_reaches_the_protocol_that_was_chosen(run, context):
    async def scenario(floor):
        session = Session(floor, context)
        protocol = Seen()

        def choose(alpn):
            session.opened.append(alpn)
            session.stream.consumer = protocol

        session.stream._on_open = choose
        last_flight = []

        async def keep_the_last(data):
            if session.client.tls.version() is None:
                await session.raw.send_all(data)
            else:
                last_flight.append(data)

        await session.client.shake_hands(keep_the_last)
        session.raw.send(b"".join(last_flight) + session.client.records(b"request"))
        await until(lambda: protocol.data == b"request")
        assert session.seen.data == b""

    run(scenario)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01"], ids=["nothing", "a part of a hello"])
def test_a_client_that_does_not_shake_hands_in_time_is_closed(run, context, sent):
    async def scenario(floor):
        session = Session(floor, context)
        session.raw.socket.send(sent)
        await turns()
        floor.clock.pass_time(HANDSHAKE_SECONDS - 0.1)
        assert not session.seen.closes
        floor.clock.pass_time(0.2)
        assert session.seen.closes == 1
        assert await session.raw.take_all() == b""
        assert session.opened == []

    run(scenario)


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_client_that_leaves_during_the_handshake_leaves_nothing_behind(run, context, how):
    async def scenario(floor):
        session = Session(floor, context)
        session.raw.send(b"\x16\x03\x01")
        await turns()
        getattr(session.raw, how)()
        await until(lambda: session.seen.closes)
        assert len(session.handshakes) == 0
        assert (session.seen.ends, session.opened) == (0, [])

    run(scenario)


def test_a_client_without_a_version_of_ours_gets_the_alert_that_says_so(run, context):
    newer = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    newer.minimum_version = ssl.TLSVersion.TLSv1_3

    async def scenario(floor):
        session = Session(floor, newer, "1.2")
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            await session.client.shake_hands()
        await until(lambda: session.seen.closes)
        assert session.opened == []

    run(scenario)


def test_a_client_that_does_not_trust_us_is_closed(run, context):
    async def scenario(floor):
        session = Session(floor, context)
        session.client.tls = ssl.create_default_context().wrap_bio(
            session.client.incoming, session.client.outgoing, server_hostname="localhost"
        )
        with pytest.raises(ssl.SSLCertVerificationError):
            await session.client.shake_hands()
        session.raw.send(session.client.outgoing.read())  # the alert
        await until(lambda: session.seen.closes)
        assert session.seen.data == b""

    run(scenario)


@pytest.mark.parametrize("own", [None, trustme.CA()], ids=["none", "of another authority"])
def test_a_client_whose_certificate_is_not_accepted_is_told_so_though_it_has_sent_its_request(run, own):
    demanding = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ISSUED.configure_cert(demanding)
    AUTHORITY.configure_trust(demanding)
    demanding.verify_mode = ssl.CERT_REQUIRED

    async def scenario(floor):
        session = Session(floor, demanding)
        client = session.client
        if own is not None:
            own.issue_cert("client").configure_cert(client.tls.context)
            client.tls = client.tls.context.wrap_bio(client.incoming, client.outgoing, server_hostname="localhost")

        async def send(records):
            last = client.tls.get_channel_binding("tls-unique") is not None  # both Finished are there
            await client.client.send_all(records + (client.records(b"x" * 4 * READ_BYTES) if last else b""))

        await client.shake_hands(send)
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED" if own is None else "UNKNOWN_CA"):
            await client.take(1)
        client.client.end()
        await until(lambda: session.seen.closes)
        assert (session.opened, session.seen.data) == ([], b"")

    run(scenario)


def test_who_speaks_no_tls_keeps_no_place_where_clients_need_a_certificate(run):
    demanding = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ISSUED.configure_cert(demanding)
    AUTHORITY.configure_trust(demanding)
    demanding.verify_mode = ssl.CERT_REQUIRED

    async def scenario(floor):
        session = Session(floor, demanding)
        session.raw.send(b"\x16\x03\x01\x00\x05hello")
        await until(lambda: session.stream.shut)
        assert session.seen.closes == 1

    run(scenario)


def test_a_client_that_speaks_no_tls_is_closed(run, context):
    async def scenario(floor):
        session = Session(floor, context)
        session.raw.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: session.seen.closes)
        assert session.seen.data == b""

    run(scenario)


# --- reading ---


@every_session
def test_requests_and_answers_go_both_ways(run, context, version):
    async def scenario(floor):
        session = await Session.open(floor, context, version)
        assert session.stream.secure
        assert session.stream.can_move is (version == GOES_ON)
        for number in range(3):
            session.client.send(b"request %d" % number)
            await until(lambda number=number: session.seen.data.endswith(b"request %d" % number))
            session.stream.write(b"answer %d" % number)
            session.stream.write_pieces([b"pie", b"", b"ces"])
            assert await session.client.take(14) == b"answer %dpieces" % number

    run(scenario)


@every_session
def test_half_a_record_is_known_wherever_it_is_cut(run, context, version):
    async def scenario(floor):
        session = await Session.open(floor, context, version)
        record = session.client.records(b"x")
        session.raw.send(record)
        await until(lambda: session.seen.data)
        assert not session.stream.mid_record
        for cut in range(1, len(record)):
            session.seen.pieces.clear()
            record = session.client.records(b"x")
            session.raw.send(record[:cut])
            await until(lambda: session.stream.mid_record)
            assert session.seen.data == b""
            session.raw.send(record[cut:])
            await until(lambda: session.seen.data)
            assert not session.stream.mid_record

    run(scenario)


class Asked:
    """A consumer that wants to send the session to another process each time that something comes."""

    def __init__(self, session):
        self.states = []
        session.seen.on_received = lambda data: self.states.append(session.stream.state())


@pytest.mark.parametrize("goes_on", [False, True])
def test_session_stays_until_the_consumer_has_all_records_that_have_come(run, context, goes_on):
    async def scenario(floor):
        session = await Session.open(floor, context, GOES_ON, goes_on=goes_on)
        asked = Asked(session)
        session.client.send(b"GET / HT", b"TP/1.1\r\n", b"\r\n")
        await until(lambda: len(session.seen.data) == 18)
        assert [state is not None for state in asked.states] == [False, False, True]
        assert session.stream.can_move

    run(scenario)


def test_session_stays_until_what_it_has_to_answer_is_sent(run, context):
    async def scenario(floor):
        session = await Session.open(floor, context, GOES_ON, goes_on=False)
        server = session.stream.state()
        client = RecordLayer(
            TlsState(
                *(server.cipher, server.write_secret, server.write_sequence),
                *(server.read_secret, server.read_sequence),
            )
        )
        session.go_on(floor)
        asked = Asked(session)
        client.update(ask=True)
        session.raw.send(client.seal(b"behind an update"))
        await until(lambda: session.seen.data)
        assert asked.states == [None]
        assert session.stream.can_move
        assert session.stream.state() is not None

    run(scenario)


@every_session
@pytest.mark.parametrize("late", [1, 17, 999])
def test_a_record_whose_last_bytes_come_late_is_delivered_whole(run, context, version, late):
    async def scenario(floor):
        session = await Session.open(floor, context, version)
        record = session.client.records(bytes(1000))
        session.raw.send(record[:-late])
        await until(lambda: session.stream.mid_record)
        session.raw.send(record[-late:])
        await until(lambda: not session.stream.mid_record)
        await turns()
        assert session.seen.data == bytes(1000)

    run(scenario)


@every_session
@pytest.mark.parametrize("begun", [1, 3, 9])
def test_a_record_whose_last_bytes_come_with_the_first_of_the_next_is_not_delivered_in_crumbs(
    run, context, version, begun
):
    async def scenario(floor):
        session = await Session.open(floor, context, version)
        first, second = session.client.records(bytes(16000)), session.client.records(b"next")
        session.raw.send(first[:-17])
        await until(lambda: session.stream.mid_record)
        await turns()
        session.raw.send(first[-17:] + second[:begun])
        await until(lambda: len(session.seen.data) == 16000)
        assert len(session.seen.pieces) <= 2
        session.raw.send(second[begun:])
        await until(lambda: session.seen.data.endswith(b"next"))
        assert session.seen.data == bytes(16000) + b"next"

    run(scenario)


@every_session
def test_what_waits_decrypted_is_not_delivered_in_crumbs_when_reading_goes_on(run, context, version):
    async def scenario(floor):
        session = await Session.open(floor, context, version)
        pause_at_the_first(session)
        first, second = session.client.records(bytes(16000)), session.client.records(b"next")
        session.raw.send(first[:-17])
        await until(lambda: session.stream.mid_record)
        await turns()
        session.raw.send(first[-17:] + second[:1])
        await until(lambda: session.seen.pieces)
        await turns()
        assert len(session.seen.pieces) == 1
        session.stream.resume_reading()
        await until(lambda: len(session.seen.data) == 16000)
        assert len(session.seen.pieces) <= 2
        session.raw.send(second[1:])
        await until(lambda: session.seen.data.endswith(b"next"))
        assert session.seen.data == bytes(16000) + b"next"

    run(scenario)


@every_session
def test_many_records_in_one_read_are_all_delivered(run, context, version):
    async def scenario(floor):
        session = await Session.open(floor, context, version)
        session.client.send(*[b"%03d" % number for number in range(100)])
        await until(lambda: len(session.seen.data) == 300)
        assert session.seen.data == b"".join(b"%03d" % number for number in range(100))
        assert not session.stream.mid_record

    run(scenario)


def test_a_large_upload_arrives_whole(run, context):
    async def scenario(floor):
        session = await Session.open(floor, context)
        await session.raw.send_all(session.client.records(BIG))
        await until(lambda: len(session.seen.data) == len(BIG))
        assert session.seen.data == BIG

    run(scenario)


def pause_at_the_first(session):
    def pause(data):
        session.stream.pause_reading()
        session.seen.on_received = lambda data: None

    session.seen.on_received = pause


def test_a_consumer_that_pauses_within_a_read_gets_the_other_records_when_it_resumes(run, context):
    async def scenario(floor):
        session = await Session.open(floor, context)
        pause_at_the_first(session)
        session.client.send(b"one", b"two", b"three")
        await until(lambda: session.seen.data)
        await turns()
        assert session.seen.pieces == [b"one"]
        session.stream.resume_reading()
        await until(lambda: len(session.seen.pieces) == 3)
        assert session.seen.data == b"onetwothree"

    run(scenario)


def test_what_waits_decrypted_comes_before_what_comes_later(run, context):
    async def scenario(floor):
        session = await Session.open(floor, context)
        pause_at_the_first(session)
        session.client.send(b"one", b"two")
        await until(lambda: session.seen.data)
        session.raw.send(session.client.records(b"three") + session.client.close_notify())
        session.raw.end()
        await turns()
        assert session.seen.data == b"one"
        session.stream.resume_reading()
        await until(lambda: session.seen.ends)
        assert session.seen.data == b"onetwothree"

    run(scenario)


def test_what_waits_decrypted_comes_before_the_end_of_the_connection(run, context):
    """The poller may have its turn between `resume_reading` and what that calls for soon."""

    async def scenario(floor):
        session = await Session.open(floor, context)
        pause_at_the_first(session)
        session.client.send(b"one", b"two", b"three")
        await until(lambda: session.seen.data)
        session.raw.end()
        await until(lambda: is_readable(session.plain._socket.fileno()))
        session.stream.resume_reading()
        session.plain.ready(READABLE)
        assert not session.seen.ends
        pause_at_the_first(session)
        await turns()
        assert session.seen.pieces == [b"one", b"two"]
        assert not session.seen.ends
        session.stream.resume_reading()
        await until(lambda: session.seen.ends)
        assert session.seen.pieces == [b"one", b"two", b"three"]

    run(scenario)


def test_nothing_is_delivered_to_a_consumer_that_pauses_again_at_once(run, context):
    async def scenario(floor):
        session = await Session.open(floor, context)
        pause_at_the_first(session)
        session.client.send(b"one", b"two")
        await until(lambda: session.seen.data)
        session.stream.resume_reading()
        session.stream.pause_reading()
        await turns()
        assert session.seen.pieces == [b"one"]
        session.stream.resume_reading()
        await until(lambda: len(session.seen.pieces) == 2)

    run(scenario)


def test_read_now_finds_what_waits_in_openssl_too(run, context):
    """Between `resume_reading` and the next turn: the connection is not idle."""

    async def scenario(floor):
        session = await Session.open(floor, context)
        pause_at_the_first(session)
        session.client.send(b"one", b"two")
        await until(lambda: session.seen.data)
        assert not session.stream.read_now(), "it is paused"
        session.stream.resume_reading()
        assert session.stream.read_now()
        assert session.seen.data == b"onetwo"
        assert not session.stream.read_now()
        await turns()
        assert session.seen.data == b"onetwo"

    run(scenario)


def test_reading_tells_whether_more_can_come(run, context):
    async def scenario(floor):
        session = await Session.open(floor, context)
        assert session.stream.reading
        session.stream.pause_reading()
        assert not session.stream.reading
        session.stream.resume_reading()
        session.raw.send(session.client.close_notify())
        await until(lambda: session.seen.ends)
        assert not session.stream.reading
        assert session.stream.input_over

    run(scenario)


@pytest.mark.parametrize("at", [0, 2, 7, -1], ids=["type", "version", "content", "tag"])
@every_session
def test_a_record_that_was_tampered_with_closes_the_stream_after_an_alert(run, context, version, at):
    async def scenario(floor):
        session = await Session.open(floor, context, version)
        session.client.send(b"good")
        await until(lambda: session.seen.data)
        record = bytearray(session.client.records(b"bad"))
        record[at] ^= 1
        session.raw.send(bytes(record))
        await until(lambda: session.seen.closes)
        assert session.seen.data == b"good"
        with pytest.raises(ssl.SSLError, match="ALERT"):
            await session.client.take_all()

    run(scenario)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command as a client")
def test_a_client_may_change_its_keys_and_ask_for_ours(run, context):
    """KeyUpdate (RFC 8446 section 4.6.3), which Python's ssl can't send: `K` is a command of s_client(1)."""

    async def scenario(floor):
        host, port = floor._listener.getsockname()
        process = await asyncio.create_subprocess_exec(
            "openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_3", "-servername", "localhost",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        floor._listener.setblocking(False)
        server, _ = await floor.loop.sock_accept(floor._listener)
        session = Session(floor, context, sockets=(None, server))
        await until(lambda: session.opened)
        for number in range(3):
            process.stdin.write(b"line %d\n" % number)
            await until(lambda number=number: session.seen.data.endswith(b"line %d\n" % number))
            process.stdin.write(b"K\n")
            await process.stderr.readuntil(b"KEYUPDATE\n")  # what is read together with the command is dropped
            session.stream.write(b"answer %d\n" % number)
            await process.stdout.readuntil(b"answer %d\n" % number)
        assert session.seen.data == b"line 0\nline 1\nline 2\n"
        session.stream.close(linger=True)
        process.stdin.close()
        await process.communicate()
        await until(lambda: session.seen.closes)

    run(scenario)


def record_layer_of(client, file):
    """Goes on for the client, with whose ssl module no KeyUpdate can be sent. `file` is its log of
    keys."""
    lines = [line.split() for line in file.read_text().splitlines() if not line.startswith("#")]
    secrets = {line[0]: bytearray.fromhex(line[2]) for line in lines}
    return RecordLayer(
        TlsState(client.tls.cipher()[0], secrets["SERVER_TRAFFIC_SECRET_0"], 2, secrets["CLIENT_TRAFFIC_SECRET_0"], 0)
    )


@pytest.fixture
def knowing(monkeypatch, tmp_path):
    """The file to which clients write their keys."""
    file = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(file))
    return file


def key_updates(records, count):
    """Ask for our keys to be changed `count` times, with some data between: a row of them alone is an error."""
    for at in range(count):
        records.update(ask=True)
        if at % 16 == 15:
            yield records.seal(b"x")
    yield records.seal(b"end")


def test_a_client_that_takes_no_answers_to_its_key_updates_is_not_read(run, context, knowing):
    async def scenario(floor):
        session = await Session.open(floor, context, small=True)
        records = record_layer_of(session.client, knowing)
        sending = asyncio.create_task(session.raw.send_all(b"".join(key_updates(records, 8_000))))
        await until(lambda: not session.plain.reading)
        await turns(50)
        assert not session.plain.reading
        assert session.stream.unsent_bytes < 65536 * 3
        taking = asyncio.create_task(session.raw.take_all())
        await sending
        await until(lambda: session.seen.pieces[-1] == b"end")
        await until(lambda: session.plain.reading)
        taking.cancel()

    run(scenario)


def test_a_consumer_that_resumes_reads_nothing_of_such_a_client_either(run, context, knowing):
    async def scenario(floor):
        session = await Session.open(floor, context, small=True)
        records = record_layer_of(session.client, knowing)
        sending = asyncio.create_task(session.raw.send_all(b"".join(key_updates(records, 8_000))))
        await until(lambda: not session.plain.reading)
        session.stream.pause_reading()
        session.stream.resume_reading()
        assert not session.plain.reading
        session.stream.pause_reading()
        sending.cancel()
        taking = asyncio.create_task(session.raw.take_all())
        await until(lambda: not session.stream.unsent_bytes)
        await turns()
        assert not session.plain.reading
        session.stream.resume_reading()
        assert session.plain.reading
        taking.cancel()

    run(scenario)


def test_a_client_that_asks_for_keys_and_takes_no_end_is_cut(run, context, knowing):
    async def scenario(floor):
        session = await Session.open(floor, context, small=True)
        records = record_layer_of(session.client, knowing)
        session.stream.write(BIG)
        session.stream.close(linger=True)
        with contextlib.suppress(ConnectionError):
            await session.raw.send_all(b"".join(key_updates(records, 8_000)))
        await until(lambda: session.seen.closes)

    run(scenario)


# --- the ends of both directions ---


@every_session
@pytest.mark.parametrize("fin", [False, True], ids=["close_notify", "close_notify and FIN"])
def test_a_client_that_ends_its_half_right_after_its_request_gets_the_answer(run, context, version, fin):
    async def scenario(floor):
        session = await Session.open(floor, context, version)
        session.raw.send(session.client.records(b"request") + session.client.close_notify())
        if fin:
            session.raw.end()
        await until(lambda: session.seen.ends)
        assert session.seen.data == b"request"
        await turns()
        assert session.seen.ends == 1
        session.stream.write(BIG)
        session.stream.close(linger=True)
        assert await session.client.take_all() == BIG
        await until(lambda: session.seen.closes)

    run(scenario)


def test_a_client_that_ends_without_close_notify_has_ended_its_half_too(run, context):
    async def scenario(floor):
        session = await Session.open(floor, context)
        session.client.send(b"request")
        session.raw.end()
        await until(lambda: session.seen.ends)
        assert (session.seen.data, session.stream.input_over) == (b"request", True)
        session.stream.write(b"answer")
        assert await session.client.take(6) == b"answer"

    run(scenario)


def test_what_comes_behind_close_notify_counts_for_nothing(run, context):
    async def scenario(floor):
        session = await Session.open(floor, context)
        session.raw.send(session.client.close_notify() + b"garbage")
        await until(lambda: session.seen.ends)
        session.raw.send(b"more garbage")
        await turns()
        session.raw.end()
        await turns()
        assert (session.seen.data, session.seen.ends, session.seen.closes) == (b"", 1, 0)

    run(scenario)


@every_session
def test_after_our_close_notify_the_clients_last_bytes_are_discarded_until_it_closes_too(run, context, version):
    async def scenario(floor):
        session = await Session.open(floor, context, version)
        session.stream.write(b"answer")
        session.stream.close(linger=True)
        assert session.stream.shut
        session.stream.write(b"too late")
        assert await session.client.take_all() == b"answer"
        session.client.send(b"the rest of an upload")
        await turns()
        assert not session.seen.closes
        session.raw.end()
        await until(lambda: session.seen.closes)
        assert (session.seen.data, session.seen.ends) == (b"", 0)

    run(scenario)


def test_without_linger_close_notify_and_end_come_at_once(run, context):
    async def scenario(floor):
        session = await Session.open(floor, context)
        session.stream.write(b"answer")
        session.stream.close(linger=False)
        assert session.seen.closes == 1
        assert await session.client.take_all() == b"answer"

    run(scenario)


@every_session
@pytest.mark.parametrize("linger", [False, True])
def test_the_last_bytes_wait_for_close_notify_and_go_with_it(run, context, version, linger):
    async def scenario(floor):
        session = await Session.open(floor, context, version)
        sent = floor.services.sent_bytes
        session.stream.write_last(b"answer")
        held = session.stream.unsent_bytes
        assert floor.services.sent_bytes == sent
        session.stream.close(linger=linger)
        assert floor.services.sent_bytes > sent + held, "close_notify too"
        assert session.stream.unsent_bytes == 0
        assert await session.client.take_all() == b"answer"
        session.raw.end()
        await until(lambda: session.seen.closes)

    run(scenario)


def test_last_bytes_that_are_long_arrive_whole(run, context):
    async def scenario(floor):
        session = await Session.open(floor, context, small=True)
        session.stream.write_last(BIG)
        session.stream.close(linger=False)
        assert await session.client.take_all() == BIG
        await until(lambda: session.seen.closes)

    run(scenario)


@pytest.mark.parametrize("how", ["abort", "reset"])
def test_a_cut_is_no_close_notify(run, context, how):
    async def scenario(floor):
        session = await Session.open(floor, context)
        session.stream.write(b"part")
        getattr(session.stream, how)()
        assert session.seen.closes == 1
        assert await session.client.take(4) == b"part"
        with pytest.raises(ssl.SSLEOFError):
            await session.client.take_all()

    run(scenario)


def test_a_stream_whose_client_is_gone_is_shut(run, context):
    async def scenario(floor):
        session = await Session.open(floor, context)
        session.raw.reset()
        while not session.plain.shut:
            session.stream.write(b"x")
        assert session.stream.shut
        session.stream.close(linger=True)
        await until(lambda: session.seen.closes)

    run(scenario)


def test_a_lingering_session_is_given_up_after_a_moment(run, context):
    async def scenario(floor):
        session = await Session.open(floor, context)
        session.stream.close(linger=True)
        floor.clock.pass_time(LINGER_SECONDS + 0.1)
        assert session.seen.closes == 1

    run(scenario)


# --- writing ---


@every_session
def test_a_large_answer_arrives_whole_and_so_do_its_pieces(run, context, version):
    async def scenario(floor):
        session = await Session.open(floor, context, version, small=True)
        session.stream.write(BIG)
        session.stream.write_pieces([b"head", BIG, b"", b"tail"])
        expected = BIG + b"head" + BIG + b"tail"
        assert await session.client.take(len(expected)) == expected
        await until(lambda: session.seen.rooms)
        assert (session.stream.unsent_bytes, session.stream.writable) == (0, True)

    run(scenario)


@every_session
def test_of_a_client_that_reads_nothing_every_byte_that_waits_is_known(run, context, version):
    async def scenario(floor):
        session = await Session.open(floor, context, version, small=True)
        session.stream.write(BIG)
        assert not session.stream.writable
        waiting = session.stream.unsent_bytes
        records = (len(BIG) - session.stream._unencrypted_bytes) // 16384
        session.stream.abort()
        arrived = len(await session.raw.take_all())
        overhead = {"1.2": 5 + 8 + 16, "1.3": 5 + 1 + 16}[version[:3]]  # RFC 5288 section 3, RFC 8446 section 5.2
        tickets = arrived + waiting - len(BIG) - records * overhead
        assert 0 <= tickets < 2048, "but for session tickets, which came with the handshake, all is counted"

    run(scenario)


def test_a_client_that_reads_nothing_is_given_up(run, context):
    async def scenario(floor):
        session = await Session.open(floor, context, small=True)
        session.stream.write(BIG)
        floor.clock.pass_time(STALL_SECONDS + 0.1)
        assert session.seen.closes == 1

    run(scenario)


# --- what is left ---


@pytest.mark.parametrize("how", ["abort", "close", "in the handshake", "reset in the handshake", "tampered"])
@pytest.mark.parametrize("loop", LOOPS)
def test_nothing_is_left_to_the_garbage_collector(context, loop, how):
    class Protocol(Seen):
        def answer_plain(self, data):
            return b""

    async def scenario():
        async with opened() as floor:
            protocol = Protocol()
            if "handshake" in how:
                session = Session(floor, context, answer_plain=protocol.answer_plain)
            else:
                session = await Session.open(floor, context, answer_plain=protocol.answer_plain)
            session.stream.consumer = protocol
            protocol.stream = session.stream  # the circle of a protocol and its stream
            match how:
                case "abort" | "in the handshake":
                    session.stream.abort()
                case "close":
                    session.stream.close(linger=False)
                case "reset in the handshake":
                    session.raw.reset()
                case "tampered":
                    session.raw.send(b"nonsense" * 100)
            await until(lambda: session.seen.closes)

    with garbage_of_ours() as found, asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))
    assert found == []


CLIENTS = """
    import socket, ssl, sys
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    address = sys.argv[1], int(sys.argv[2])
    kept = []
    for _ in range(int(sys.argv[3])):
        kept.append(context.wrap_socket(socket.create_connection(address)))
        kept[-1].send(b"x")
    print("done", flush=True)
    sys.stdin.read()
"""


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_an_idle_session_costs(context, soak, record_property, capsys):
    """A figure to look at; the bound is a generous one."""
    count = 1000 if soak else 200

    async def scenario():
        async with opened() as floor:
            floor._listener.setblocking(False)
            floor._listener.listen(128)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", textwrap.dedent(CLIENTS), *map(str, floor._listener.getsockname()), str(count),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
            sessions, before = [], 0
            for number in range(count + 10):
                if number == 10:
                    before = resident_bytes()
                if number < count:
                    server, _ = await floor.loop.sock_accept(floor._listener)
                    sessions.append(Session(floor, context, sockets=(None, server)))
            await process.stdout.readuntil(b"done")
            await until(lambda: all(session.seen.data for session in sessions))
            each = (resident_bytes() - before) / (count - 10)
            process.stdin.close()
            await process.wait()
            return each

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096) if hard != -1 else 4096, hard))
    try:
        with asyncio.Runner() as runner:
            each = runner.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    record_property("bytes_per_idle_session", round(each))
    with capsys.disabled():
        print(f"\nan idle TLS session costs {each / 1024:.1f} KiB, of {count}")
    assert each < 60 * 1024


# --- a client that leaves while it is not read ---


@every_session
def test_the_end_of_a_client_that_is_not_read_is_told_once(run_epoll, context, version):
    async def scenario(floor):
        session = await Session.open(floor, context, version)
        session.stream.pause_reading()
        session.client.send(b"later")
        session.raw.send(session.client.close_notify())
        session.raw.end()
        await until(lambda: session.seen.unread_ends)
        await turns()
        assert (session.seen.unread_ends, session.seen.ends, session.seen.pieces) == (1, 0, [])
        assert session.stream.half_closed
        session.stream.resume_reading()
        await until(lambda: session.seen.ends)
        assert (session.seen.data, session.seen.unread_ends) == (b"later", 1)

    run_epoll(scenario)


# --- large responses ---


@every_session
def test_a_large_response_is_encrypted_as_the_client_takes_it(run, context, version):
    async def scenario(floor):
        session = await Session.open(floor, context, version, small=True)
        data = BIG * 8
        session.stream.write(data)
        session.stream.write(b"end")
        assert session.plain.unsent_bytes < 2 * 65536 + 4096
        assert session.stream.unsent_bytes > len(data) - 2 * 65536
        assert not session.stream.writable
        assert await session.client.take(len(data) + 3) == data + b"end"
        await until(lambda: session.seen.rooms)
        assert session.seen.rooms == 1
        assert session.stream.unsent_bytes == 0
        assert session.stream.writable

    run(scenario)


class AlwaysReady(Pollable):
    """A socket that is readable and is not read: whatever else a turn of the poller has, it isn't alone."""

    def ready(self, events):
        return


@contextlib.contextmanager
def company(floor):
    """The poller always has several events, and so holds what is small."""
    with contextlib.ExitStack() as opened:
        for _ in range(2):
            ours, theirs = socket.socketpair()
            opened.callback(theirs.close)
            opened.callback(ours.close)
            theirs.send(b"?")
            floor.poller.add(ours.fileno(), AlwaysReady(), READABLE)
            opened.callback(floor.poller.remove, ours.fileno())
        yield


@every_session
@pytest.mark.parametrize("end", [1, HOLD_BYTES - 2000, HOLD_BYTES])
def test_a_large_response_whose_end_is_held_makes_room_again(run_epoll, context, version, end):
    async def scenario(floor):
        session = await Session.open(floor, context, version, small=True)
        with company(floor):
            await until(lambda: floor.poller.holding)
            size = 65536 * 2 + end  # what is encrypted at last is small
            session.stream.write(bytes(size))
            assert await session.client.take(size) == bytes(size)
            await until(lambda: session.seen.rooms)
            await turns()
            assert (session.seen.rooms, session.stream.writable, session.stream.unsent_bytes) == (1, True, 0)

    run_epoll(scenario)


@pytest.mark.parametrize("linger", [True, False])
def test_a_close_comes_behind_what_is_not_encrypted_yet(run, context, linger):
    async def scenario(floor):
        session = await Session.open(floor, context, small=True)
        session.stream.write(BIG)
        session.stream.close(linger=linger)
        assert session.stream.shut
        session.stream.write(b"too late")
        session.client.send(b"discarded")
        await turns()
        assert await session.client.take_all() == BIG
        if linger:
            session.client.send(b"discarded too")
            await turns()
            assert not session.stream.closed
        session.raw.send(session.client.close_notify())
        await until(lambda: session.seen.closes)
        assert (session.seen.data, session.seen.ends, session.seen.rooms) == (b"", 0, 0)

    run(scenario)


def test_what_is_not_encrypted_is_dropped_by_an_abort(run, context):
    async def scenario(floor):
        session = await Session.open(floor, context, small=True)
        session.stream.write(BIG)
        session.stream.abort()
        assert session.stream.unsent_bytes == 0
        assert session.seen.closes == 1

    run(scenario)


# --- the end of both halves ---


@every_session
@pytest.mark.parametrize("when", ["before ours", "after ours"])
def test_the_clients_close_notify_ends_the_lingering(run, context, version, when):
    async def scenario(floor):
        session = await Session.open(floor, context, version)
        if when == "before ours":
            # Behind a message that the server answers with its end, in the same read.
            session.seen.on_received = lambda data: session.stream.close(linger=True)
            session.raw.send(session.client.records(b"bad") + session.client.close_notify())
        else:
            session.stream.close(linger=True)
            await session.client.take_all()
            session.client.send(b"more")
            await turns()
            assert not session.stream.closed
            session.raw.send(session.client.close_notify())
        await until(lambda: session.stream.closed)
        assert floor.clock.now == 1000.0, "no deadline was needed"

    run(scenario)


# --- what hung handshakes and ended connections cost ---


class Hung:
    """Clients of which each has said only so much of its handshake."""

    def __init__(self, floor, context, count, said):
        self.sessions = [Session(floor, context) for _ in range(count)]
        for one in self.sessions:
            if said is not None:
                one.raw.send(one.client.hello()[:said])

    async def end(self, floor):
        floor.clock.pass_time(HANDSHAKE_SECONDS + 1)
        await until(lambda: all(one.seen.closes for one in self.sessions))


@pytest.mark.parametrize("said", [None, 1, 5, 100])
def test_a_client_that_says_no_whole_record_costs_no_session(run, context, said):
    made = []

    class Counting:
        def wrap_bio(self, *arguments, **options):
            made.append(arguments)
            return context.wrap_bio(*arguments, **options)

    async def scenario(floor):
        hung = Hung(floor, Counting(), 3, said)
        await turns()
        assert not made
        await hung.end(floor)

    run(scenario)


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\xff\xff"])
def test_what_is_no_record_of_a_handshake_is_refused_at_once(run, context, said):
    async def scenario(floor):
        session = Session(floor, context)
        session.raw.send(said)
        await until(lambda: session.seen.closes)

    run(scenario)


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("loop", LOOPS)
def test_waves_of_connections_and_of_hung_handshakes_leave_nothing(context, loop):
    """The collector finds nothing of any kind, and no session of OpenSSL is left."""

    async def scenario():
        async with opened() as floor:
            for said in (None, 100, 10_000):
                hung = Hung(floor, context, 20, said)
                await turns()
                await hung.end(floor)
            for _ in range(3):
                sessions = [await Session.open(floor, context) for _ in range(5)]
                for one in sessions:
                    one.stream.close(linger=False)
                    one.raw.close()
                await until(lambda wave=sessions: all(one.seen.closes for one in wave))
            assert len(floor.poller.descriptors) == 0

    before = count_sessions()
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))
        left = count_sessions() - before
    assert left == 0


def count_sessions():
    return sum(
        type(one).__name__ in {"SSLObject", "_SSLSocket", "TlsStream", "PlainStream"} for one in gc.get_objects()
    )


@every_session
def test_what_a_client_sends_while_it_takes_the_rest_resets_nothing(run, context, version):
    async def scenario(floor):
        session = await Session.open(floor, context, version, small=True)
        session.stream.pause_reading()
        session.stream.write(BIG)
        session.stream.close(linger=True)
        taken = b""
        while len(taken) < len(BIG):
            session.client.send(b"x")
            taken += await session.client.take(min(65536, len(BIG) - len(taken)))
        assert await session.client.take_all() == b""
        assert taken == BIG

    run(scenario)
