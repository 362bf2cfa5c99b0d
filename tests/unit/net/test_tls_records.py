"""Whether the last TLS record that came is whole, however the kernel cuts them."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gracehttp.net.tls_stream import RecordCounter


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
