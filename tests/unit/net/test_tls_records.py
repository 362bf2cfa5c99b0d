"""Whether the last TLS record that came is whole, however the kernel cuts them."""

from __future__ import annotations

import itertools
import ssl

import pytest
from floor import BOTH, Seen, runner_for
from hypothesis import given
from hypothesis import strategies as st

from gracehttp.net.tls_stream import RecordCounter, TlsStream


@pytest.fixture(params=BOTH)
def run(request):
    return runner_for(request.param)


def record(size):
    return b"\x17\x03\x03" + size.to_bytes(2, "big") + b"\x17" * size  # the content looks like a header, too


def test_a_counter_that_has_seen_nothing_is_at_a_boundary():
    assert RecordCounter().at_boundary


def test_a_record_is_whole_only_with_its_last_byte():
    whole = record(20)
    for cut in range(1, len(whole)):
        counter = RecordCounter()
        counter.count(whole[:cut])
        assert not counter.at_boundary, cut
        counter.count(whole[cut:])
        assert counter.at_boundary, cut


def test_one_byte_at_a_time_finds_exactly_the_ends_of_the_records():
    sizes = (0, 1, 5, 300, 0, 0, 16406)
    ends = set(itertools.accumulate(size + 5 for size in sizes))
    counter = RecordCounter()
    for at, byte in enumerate(b"".join(map(record, sizes)), 1):
        counter.count(bytes([byte]))
        assert counter.at_boundary is (at in ends), at


@given(st.lists(st.integers(0, 400), min_size=1, max_size=8), st.lists(st.integers(1, 500), max_size=30))
def test_any_cuts_of_any_records(sizes, cuts):
    ends = {0, *itertools.accumulate(size + 5 for size in sizes)}
    data = b"".join(map(record, sizes))
    counter, at = RecordCounter(), 0
    for cut in (*cuts, len(data)):
        counter.count(data[at : at + cut])
        at = min(at + cut, len(data))
        assert counter.at_boundary is (at in ends)


# --- a record that comes alone ---


class FakeSession:
    """In the place of OpenSSL and its two buffers: reads nothing but what it was told to."""

    def __init__(self, reads):
        self.reads, self.calls, self.unsent = reads, [], b""
        self.incoming = self.outgoing = self

    @property
    def pending(self):
        self.calls.append("pending")
        return len(self.unsent)

    def write(self, data):
        self.calls.append("write")

    def read(self, size=-1):
        if size < 0:
            records, self.unsent = self.unsent, b""
            return records
        self.calls.append("read")
        found = self.reads.pop(0)
        if isinstance(found, bytes):
            return found
        self.unsent += b"answer"
        raise found

    def wipe(self):
        return


def speak(floor, session):
    client, plain, _ = floor.stream()
    seen = Seen()
    plain.consumer = plain.owner = seen
    return client, TlsStream(plain, None, seen, session=session), seen


def test_a_part_of_a_record_that_looks_like_a_whole_one_is_none(run):
    async def scenario(floor):
        _, stream, _ = speak(floor, FakeSession([ssl.SSLWantReadError(), ssl.SSLWantReadError()]))
        whole = record(16)
        stream.received(whole[:14])
        stream.received(record(2))
        assert not stream.mid_record  # 5 + 16 bytes have come
        stream.abort()

    run(scenario)


def test_the_answer_to_a_record_without_data_is_sent_at_once(run):
    async def scenario(floor):
        client, stream, seen = speak(floor, FakeSession([ssl.SSLWantReadError()]))
        stream.received(record(20))
        assert await client.take(6) == b"answer"
        assert seen.data == b""
        stream.abort()

    run(scenario)


def test_a_record_that_comes_alone_is_read_by_one_call(run):
    async def scenario(floor):
        session = FakeSession([b"content"])
        _, stream, seen = speak(floor, session)
        stream.received(record(20))
        assert (session.calls, seen.data) == (["write", "read", "pending"], b"content")
        stream.abort()

    run(scenario)


def test_what_a_session_says_to_data_is_sent_at_once(run):
    """It asks for new keys when those of the client are worn out (RFC 8446 section 5.5)."""

    async def scenario(floor):
        session = FakeSession([b"content"])
        client, stream, seen = speak(floor, session)
        session.unsent = b"update"
        stream.received(record(20))
        assert await client.take(6) == b"update"
        assert seen.data == b"content"
        stream.abort()

    run(scenario)
