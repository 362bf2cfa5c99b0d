"""JSON objects as lines, in pieces of any size."""

from __future__ import annotations

import pytest

from gracehttp.wire.json_lines import LineBuffer, UnreadableLine, decode_line, encode_line


def test_lines_are_the_same_wherever_the_stream_is_cut():
    stream = encode_line({"one": 1}) + encode_line({"two": "ü"}) + b'{"half'
    for cut in range(len(stream) + 1):
        buffer = LineBuffer()
        lines = buffer.feed(stream[:cut]) + buffer.feed(stream[cut:])
        assert [decode_line(line) for line in lines] == [{"one": 1}, {"two": "ü"}]
        assert buffer.rest == b'{"half'


@pytest.mark.parametrize("line", [b"nonsense", b"[" * 60_000, b"[]", b"5", b"\xff"], ids=lambda line: str(line[:9]))
def test_what_is_no_json_object_is_refused(line):
    with pytest.raises(UnreadableLine):
        decode_line(line)
