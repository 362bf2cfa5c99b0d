"""Frames, as a client may send them: the areas of the Autobahn test suite, byte by byte.

Each case is what the client sends, and what comes of it: messages for the application, frames for the client, and how
it ends. Each is fed as a whole, byte by byte, and in halves.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websocket_client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    MASK,
    PING,
    PONG,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    Frame,
    binary,
    close,
    closing,
    frame,
    frames_in,
    masked,
    text,
)
from websockets.extensions.permessage_deflate import PerMessageDeflate

from gracehttp.http.websocket.messages import Messages, framed, may_be_sent

LIMIT = 200_000
KAPPA = "κόσμε".encode()  # the word that Autobahn uses; each letter takes two or three bytes
WORD = "Hello-µ@ßöäüàá-UTF-8!!".encode()
PONGED = Frame(FIN | PONG, b"")


def cont(payload: bytes, *, fin: bool = True, flags: int = 0) -> bytes:
    return frame(CONTINUATION, payload, fin=fin, flags=flags)


def first(opcode: int, payload: bytes, flags: int = 0) -> bytes:
    return frame(opcode, payload, fin=False, flags=flags)


# name: (what is sent, the messages, the frames before the close frame, the code of the close frame or None)
GOOD = {
    # 1.x: framing
    **{f"text of {n}": (text("*" * n), ["*" * n], []) for n in (0, 1, 125, 126, 127, 128, 65535, 65536, LIMIT)},
    **{
        f"binary of {n}": (binary(b"\xfe" * n), [b"\xfe" * n], [])
        for n in (0, 1, 125, 126, 127, 128, 65535, 65536, LIMIT)
    },
    "many messages at once": (text("a") + binary(b"b") + text("c") * 3, ["a", b"b", "c", "c", "c"], []),
    # 2.x: pings and pongs
    "ping without payload": (frame(PING), [], [PONGED]),
    "ping with text": (frame(PING, b"hello"), [], [Frame(FIN | PONG, b"hello")]),
    "ping with bytes": (frame(PING, b"\x00\xff\xfe"), [], [Frame(FIN | PONG, b"\x00\xff\xfe")]),
    "ping with 125 bytes": (frame(PING, b"\xfe" * 125), [], [Frame(FIN | PONG, b"\xfe" * 125)]),
    "pong that nobody has asked for": (frame(PONG, b"x") + text("a"), ["a"], []),
    "ten pings": (b"".join(frame(PING, b"%d" % n) for n in range(10)), [], [Frame(138, b"%d" % n) for n in range(10)]),
    # 5.x: fragments
    "two fragments": (first(TEXT, b"one ") + cont(b"two"), ["one two"], []),
    "empty fragments": (first(TEXT, b"") + cont(b"", fin=False) + cont(b""), [""], []),
    "an empty fragment within": (first(BINARY, b"a") + cont(b"", fin=False) + cont(b"b"), [b"ab"], []),
    "ping between fragments": (
        first(TEXT, b"one ") + frame(PING, b"p") + cont(b"two"),
        ["one two"],
        [Frame(FIN | PONG, b"p")],
    ),
    "pings between many fragments": (
        first(BINARY, b"0") + (frame(PING) + cont(b"1", fin=False)) * 3 + cont(b"2"),
        [b"01112"],
        [PONGED] * 3,
    ),
    "two fragmented messages": ((first(TEXT, b"a") + cont(b"b")) * 2, ["ab", "ab"], []),
    "fragments of one byte": (
        first(BINARY, b"") + b"".join(cont(b"x", fin=False) for _ in range(1000)) + cont(b""),
        [b"x" * 1000],
        [],
    ),
    # 6.x: UTF-8
    "valid UTF-8": (frame(TEXT, WORD), [WORD.decode()], []),
    "UTF-8 in fragments at its borders": (first(TEXT, WORD[:6]) + cont(WORD[6:]), [WORD.decode()], []),
    "UTF-8 in fragments of one byte": (
        first(TEXT, KAPPA[:1])
        + b"".join(cont(KAPPA[at : at + 1], fin=False) for at in range(1, len(KAPPA)))
        + cont(b""),
        [KAPPA.decode()],
        [],
    ),
    "the last code point": (frame(TEXT, b"\xf4\x8f\xbf\xbf"), ["\U0010ffff"], []),
    "noncharacters": (frame(TEXT, b"\xef\xbf\xbe\xef\xbf\xbf"), ["\ufffe\uffff"], []),
    "bytes that are no UTF-8 in a binary message": (binary(b"\xff\xfe"), [b"\xff\xfe"], []),
    # limits
    "fragments that reach the limit": (first(BINARY, b"x" * (LIMIT - 1)) + cont(b"x"), [b"x" * LIMIT], []),
}

TOO_LONG_REASON = b"*" * 124
BAD = {
    # 2.x, 3.x, 4.x: control frames, reserved bits, opcodes
    "ping that is too long": (frame(PING, b"x" * 126), 1002),
    "ping in fragments": (frame(PING, b"x", fin=False), 1002),
    "pong that is too long": (frame(PONG, b"x" * 126), 1002),
    "close that is too long": (frame(CLOSE, b"\x03\xe8" + TOO_LONG_REASON), 1002),
    "close in fragments": (frame(CLOSE, b"\x03\xe8", fin=False), 1002),
    **{
        f"reserved bits {bits:#x} of opcode {op}": (frame(op, b"", flags=bits), 1002)
        for bits in (RSV1, RSV2, RSV3, RSV1 | RSV2, RSV1 | RSV3, RSV2 | RSV3, RSV1 | RSV2 | RSV3)
        for op in (TEXT, BINARY, CLOSE, PING, PONG)
    },
    **{f"opcode {op}": (frame(op, b"x"), 1002) for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "a frame without mask": (frame(TEXT, b"hello", mask=None), 1002),
    "an empty frame without mask": (frame(TEXT, b"", mask=None), 1002),
    # 5.x: fragments
    "continuation of nothing": (cont(b"x"), 1002),
    "continuation of nothing that goes on": (cont(b"x", fin=False), 1002),
    "continuation after the end": (first(TEXT, b"a") + cont(b"b") + cont(b"c"), 1002),
    "text within a fragmented message": (first(TEXT, b"a") + text("b"), 1002),
    "another fragmented message within one": (first(TEXT, b"a") + first(BINARY, b"b"), 1002),
    # 6.x: UTF-8
    "a byte that never occurs": (frame(TEXT, KAPPA + b"\xff"), 1007),
    "a lone continuation byte": (frame(TEXT, b"\x80"), 1007),
    "an overlong form": (frame(TEXT, b"\xc0\xaf"), 1007),
    "an overlong form of three bytes": (frame(TEXT, b"\xe0\x80\xaf"), 1007),
    "half of a surrogate pair": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "beyond the last code point": (frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    "a code point that is cut": (frame(TEXT, KAPPA[:-1]), 1007),
    "a code point that is cut at the last fragment": (first(TEXT, KAPPA) + cont(KAPPA[:1]), 1007),
    "wrong in the first of many fragments": (first(TEXT, b"\xff"), 1007),
    "wrong over the border of two fragments": (first(TEXT, KAPPA[:1]) + cont(b"x", fin=False), 1007),
    # limits
    "one byte more than the limit": (binary(b"x" * (LIMIT + 1)), 1009),
    "a length that nobody can have meant": (b"\x82\xff" + b"\x7f" + b"\xff" * 7 + b"mask", 1009),
    "fragments beyond the limit": (first(BINARY, b"x" * LIMIT) + cont(b"x"), 1009),
    "fragments far beyond the limit": (first(BINARY, b"x") + cont(b"x" * LIMIT, fin=False), 1009),
}

CLOSES = {
    # 7.x: what the client sends, what it is answered, what the application is told
    "without code": (close(None), None, (1005, "")),
    "with a code": (close(1000), 1000, (1000, "")),
    "with a reason": (close(1000, b"bye"), 1000, (1000, "bye")),
    "with the longest reason": (close(1000, b"*" * 123), 1000, (1000, "*" * 123)),
    "with a reason of UTF-8": (close(3999, WORD), 3999, (3999, WORD.decode())),
    **{
        f"with {code}": (close(code), code, (code, ""))
        for code in (1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
    },
    **{
        f"with {code}, which must not be sent": (close(code), 1002, (1002, "invalid status code"))
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    },
    "with one byte": (frame(CLOSE, b"\x03"), 1002, (1002, "close frame too short")),
    "with a reason that is no UTF-8": (close(1000, b"\xff"), 1007, None),
    "and more behind it": (close(1000) + text("too late") + frame(PING), 1000, (1000, "")),
    "twice": (close(1000) + close(1001), 1000, (1000, "")),
}

CUTS = {"whole": None, "byte by byte": 1, "in pieces of 7": 7}


@pytest.fixture(params=CUTS.values(), ids=CUTS)
def fed(request):
    """Feeds a client's bytes; returns the messages, and the frames for the client."""

    def feed(messages: Messages, data: bytes):
        size = request.param or len(data)
        if len(data) > 20_000 and request.param:
            size = 4099
        found, writes = [], b""
        for at in range(0, len(data), size):
            if messages.over:
                break
            piece = data[at : at + size]
            one = messages.whole(piece)
            found += messages.feed(piece) if one is None else [one]
            writes += messages.take_writes()
        sent, rest = frames_in(writes)
        assert not rest
        return found, sent

    return feed


@pytest.mark.parametrize("name", GOOD)
def test_good_frames(fed, name):
    data, expected, answers = GOOD[name]
    messages = Messages(LIMIT, None)
    assert fed(messages, data) == (expected, answers)
    assert messages.open
    found, sent = fed(messages, text("and on"))
    assert (found, sent) == (["and on"], []), "it goes on"


@pytest.mark.parametrize("name", BAD)
def test_bad_frames(fed, name):
    data, code = BAD[name]
    messages = Messages(LIMIT, None)
    found, sent = fed(messages, text("before") + data)
    assert found[0] == "before"
    assert closing(sent[-1])[0] == code
    assert messages.over
    assert not messages.closed_by_both
    assert messages.outcome[0] == code


@pytest.mark.parametrize("name", CLOSES)
def test_close_frames(fed, name):
    data, code, outcome = CLOSES[name]
    messages = Messages(LIMIT, None)
    found, sent = fed(messages, data)
    assert found == []
    (answer,) = sent
    assert closing(answer)[0] == code
    assert messages.over
    if outcome is not None:
        assert messages.outcome == outcome


def outcome_of(pieces: list[bytes]):
    """The messages, the frames for the client, whether it is over, and how it ended."""
    messages = Messages(LIMIT, None)
    found, writes = [], b""
    for piece in pieces:
        if messages.over:
            break
        one = messages.whole(piece)
        found += messages.feed(piece) if one is None else [one]
        writes += messages.take_writes()
    return found, frames_in(writes), messages.over, messages.outcome


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_cuts_mean_what_the_whole_means(draw):
    names = draw.draw(st.lists(st.sampled_from(list(GOOD)), max_size=3), label="messages")
    end = draw.draw(st.sampled_from(list(CLOSES)), label="close")
    stream = b"".join(GOOD[name][0] for name in names) + CLOSES[end][0]
    # Near the beginning stand the headers of frames; payloads may be long.
    place = st.one_of(st.integers(1, len(stream)), st.integers(1, min(len(stream), 300)))
    cuts = draw.draw(st.lists(place, max_size=20), label="cuts")
    ends = sorted({0, len(stream), *cuts})
    pieces = [stream[begin:end] for begin, end in itertools.pairwise(ends)]
    assert outcome_of(pieces) == outcome_of([stream])


def test_close_of_ours_waits_for_the_answer(fed):
    messages = Messages(LIMIT, None)
    messages.close(4000, "enough")
    assert frames_in(messages.take_writes())[0] == [Frame(FIN | CLOSE, (4000).to_bytes(2, "big") + b"enough")]
    assert not messages.open
    assert not messages.over
    messages.close(4001, "again")
    assert messages.take_writes() == b""
    _found, sent = fed(messages, text("on its way") + close(1000))
    assert sent == []
    assert messages.over
    assert messages.closed_by_both
    assert messages.outcome == (4000, "enough"), "that of the side that began"


def test_reason_that_is_too_long_is_cut_between_two_characters():
    messages = Messages(LIMIT, None)
    messages.close(4000, "ä" * 100)
    ((_, payload),) = frames_in(messages.take_writes())[0]
    assert payload[2:].decode() == "ä" * 61


def test_end_without_close_frame():
    messages = Messages(LIMIT, None)
    messages.end()
    assert messages.over
    assert messages.outcome == (1006, "")
    assert messages.take_writes() == b""


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_frames_of_ours(size):
    messages = Messages(LIMIT, None)
    assert frames_in(messages.data("x" * size)) == ([Frame(FIN | TEXT, b"x" * size)], b"")
    assert frames_in(messages.data(b"x" * size)) == ([Frame(FIN | BINARY, b"x" * size)], b"")
    assert frames_in(framed(0x89, b"x" * 9)) == ([Frame(FIN | PING, b"x" * 9)], b"")


def test_codes_that_may_be_sent():
    allowed = [code for code in range(6000) if may_be_sent(code)]
    assert allowed == [*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)]


def test_no_limit():
    messages = Messages(0, None)
    assert len(messages.feed(binary(b"x" * 3_000_000))[0]) == 3_000_000


# --- permessage-deflate (12.x and 13.x) ---


def deflated(payload: bytes, encoder=None) -> bytes:
    encoder = encoder or zlib.compressobj(wbits=-12)
    return (encoder.compress(payload) + encoder.flush(zlib.Z_SYNC_FLUSH))[:-4]


def with_deflate(limit: int = LIMIT, *, takeover: bool = True) -> Messages:
    return Messages(limit, PerMessageDeflate(not takeover, not takeover, 12, 12, {"memLevel": 5}))


def test_compressed_messages_refer_to_those_before(fed):
    messages, encoder = with_deflate(), zlib.compressobj(wbits=-12)
    sent = [f"the message {n} is much like the others".encode() for n in range(5)]
    data = b"".join(frame(TEXT, deflated(one, encoder), flags=RSV1) for one in sent)
    assert fed(messages, data) == ([one.decode() for one in sent], [])


@pytest.mark.parametrize("takeover", [True, False])
def test_compressed_answers(takeover):
    messages = with_deflate(takeover=takeover)
    decoder = zlib.decompressobj(wbits=-12)
    for _ in range(3):
        if not takeover:
            decoder = zlib.decompressobj(wbits=-12)
        for message in ("hello " * 100, b"\x00\xff" * 100, ""):
            (answer,), rest = frames_in(messages.data(message))
            assert not rest
            assert answer.first == FIN | RSV1 | (TEXT if isinstance(message, str) else BINARY)
            plain = decoder.decompress(answer.payload + b"\x00\x00\xff\xff")
            assert plain == (message.encode() if isinstance(message, str) else message)


def test_messages_that_are_not_compressed_where_it_was_agreed_on(fed):
    data = text("plain") + frame(TEXT, deflated(b"packed"), flags=RSV1) + binary(b"plain again")
    assert fed(with_deflate(), data) == (["plain", "packed", b"plain again"], [])


def test_compressed_message_in_fragments(fed):
    packed = deflated(KAPPA * 50)
    data = first(TEXT, packed[:9], RSV1) + frame(PING) + cont(packed[9:11], fin=False) + cont(packed[11:])
    assert fed(with_deflate(), data) == ([(KAPPA * 50).decode()], [PONGED])


@pytest.mark.parametrize(
    ("data", "code"),
    {
        "no deflate stream": (frame(TEXT, b"\xff\xff\xff", flags=RSV1), 1002),
        "RSV1 on a continuation": (first(TEXT, deflated(b"hello"), RSV1) + cont(b"", flags=RSV1), 1002),
        "RSV1 on a ping": (frame(PING, b"x", flags=RSV1), 1002),
        "RSV2": (frame(TEXT, deflated(b"hello"), flags=RSV2), 1002),
        "wrong UTF-8 inside": (frame(TEXT, deflated(b"\xff"), flags=RSV1), 1007),
    }.values(),
)
def test_bad_compressed_frames(fed, data, code):
    messages = with_deflate()
    _found, sent = fed(messages, data)
    assert closing(sent[-1])[0] == code
    assert messages.over


def test_rsv1_on_a_continuation_is_wrong_whatever_the_library_says(fed):
    """websockets up to 16.0 lets it pass."""

    class Lenient(PerMessageDeflate):
        def decode(self, frame, *, max_size=None):
            return super().decode(
                dataclasses.replace(frame, rsv1=frame.rsv1 and frame.opcode == TEXT), max_size=max_size
            )

    messages = Messages(LIMIT, Lenient(False, False, 12, 12, {"memLevel": 5}))
    _found, sent = fed(messages, first(TEXT, deflated(b"hello"), RSV1) + cont(b"", flags=RSV1))
    assert closing(sent[-1])[0] == 1002


@pytest.mark.parametrize("size", [LIMIT + 1, 50_000_000])
def test_what_is_inflated_is_limited(fed, size):
    messages = with_deflate()
    packed = deflated(b"\x00" * size)
    assert len(packed) < LIMIT
    found, sent = fed(messages, frame(BINARY, packed, flags=RSV1))
    assert found == []
    assert closing(sent[-1])[0] == 1009


def test_what_is_inflated_of_fragments_is_limited_together(fed):
    messages, encoder = with_deflate(), zlib.compressobj(wbits=-12)
    half = b"\x00" * (LIMIT // 2 + 1)
    one = encoder.compress(half) + encoder.flush(zlib.Z_SYNC_FLUSH)
    data = first(BINARY, one, RSV1) + cont(deflated(half, encoder))
    found, sent = fed(messages, data)
    assert found == []
    assert closing(sent[-1])[0] == 1009


def test_what_is_inflated_may_reach_the_limit(fed):
    packed = deflated(b"\x00" * LIMIT)
    assert fed(with_deflate(), frame(BINARY, packed, flags=RSV1)) == ([b"\x00" * LIMIT], [])


# --- the quick way ---


def test_quick_way_takes_what_it_should():
    """Else it would be slower, and no other test would see it."""
    messages = Messages(LIMIT, None)
    for size in (0, 1, 125, 126, 65535):
        assert messages.whole(text("x" * size)) == "x" * size
        assert messages.whole(binary(b"x" * size)) == b"x" * size
    messages.feed(text("x" * 200))
    messages.feed(first(TEXT, b"a") + cont(b"b"))
    assert messages.whole(text("hello")) == "hello"


@pytest.mark.parametrize("before", [text("hello")[:1], text("hello")[:2], text("hello")[:4], text("x" * 130)[:3]])
def test_quick_way_is_not_taken_within_a_frame(before):
    messages = Messages(LIMIT, None)
    messages.feed(before)
    assert messages.whole(text("hello")) is None


def test_quick_way_is_not_taken_within_a_fragmented_message():
    messages = Messages(LIMIT, None)
    messages.feed(first(TEXT, b"a"))
    assert messages.whole(text("hello")) is None


@pytest.mark.parametrize(
    "data",
    {
        "two frames": text("a") + text("b"),
        "a fragment": first(TEXT, b"a"),
        "a ping": frame(PING, b"a"),
        "no mask": text("hello", mask=None),
        "no mask, but as long": b"\x81\x05hello",
        "a reserved bit": text("a", flags=RSV1),
        "wrong UTF-8": frame(TEXT, b"\xff"),
        "a length in too many bytes": b"\x81\xfe\x00\x01" + MASK + masked(b"a"),
        "a part of a length": b"\x81\xfe\x01",
        "a part of a mask": b"\x81\x80abc",
        "nearly all": text("x" * 200)[:-1],
        "a little more": text("x" * 200) + b"\x81",
    }.values(),
)
def test_quick_way_leaves_all_else_to_the_usual_one(data):
    assert Messages(LIMIT, None).whole(data) is None


def test_quick_way_keeps_the_limit():
    messages = Messages(4, None)
    assert messages.whole(text("hello")) is None
    assert messages.whole(text("hell")) == "hell"


def test_quick_way_takes_compressed_messages():
    messages, encoder = with_deflate(), zlib.compressobj(wbits=-12)
    for size in (0, 1, 125, 126, 65535):
        assert messages.whole(frame(TEXT, deflated(b"x" * size, encoder), flags=RSV1)) == "x" * size
        assert messages.whole(frame(BINARY, deflated(b"x" * size, encoder), flags=RSV1)) == b"x" * size
    assert messages.whole(text("plain")) == "plain"


def test_both_ways_refer_to_the_same_messages_before():
    messages, encoder = with_deflate(), zlib.compressobj(wbits=-12)
    for number in range(6):
        sent = f"the message {number} is much like the others"
        data = frame(TEXT, deflated(sent.encode(), encoder), flags=RSV1)
        assert ([messages.whole(data)] if number % 2 else messages.feed(data)) == [sent]


def test_quick_way_leaves_long_compressed_messages_to_the_usual_one():
    messages, noise = with_deflate(), random.Random(1).randbytes(3000)
    data = frame(BINARY, deflated(noise), flags=RSV1)
    assert messages.whole(data) is None
    assert messages.feed(data) == [noise]


@pytest.mark.parametrize(
    "data",
    {
        "a fragment": first(TEXT, deflated(b"a"), RSV1),
        "RSV2": frame(TEXT, deflated(b"a"), flags=RSV1 | RSV2),
        "a compressed ping": frame(PING, b"a", flags=RSV1),
        "two frames": frame(TEXT, deflated(b"a"), flags=RSV1) * 2,
    }.values(),
)
def test_quick_way_leaves_other_compressed_frames_to_the_usual_one(data):
    assert with_deflate().whole(data) is None


def test_without_context_takeover_each_message_stands_alone():
    messages = with_deflate(takeover=False)
    data = frame(TEXT, deflated(b"hello"), flags=RSV1)
    assert messages.whole(data) is None
    assert [messages.feed(data), messages.feed(data)] == [["hello"], ["hello"]]


def test_nothing_is_taken_behind_a_compressed_message_that_was_wrong():
    messages = with_deflate()
    wrong, good = frame(TEXT, deflated(b"\xff"), flags=RSV1), frame(TEXT, deflated(b"a"), flags=RSV1)
    assert messages.whole(wrong) is None
    assert messages.over
    assert messages.whole(good) is None
    assert messages.feed(good) == []
    (sent,), _ = frames_in(messages.take_writes())
    assert closing(sent) == (1007, "invalid start byte at position 0")


def ended(data):
    """As `deflated`, with a last block (RFC 7692 section 7.2.3.4), by which zlib ends."""
    encoder = zlib.compressobj(wbits=-12)
    return encoder.compress(data) + encoder.flush(zlib.Z_FINISH) + b"\0"


def take(messages, data, quick):
    """All messages in `data`, by the quick way if it is to be that."""
    found = messages.whole(data) if quick else None
    return messages.feed(data) if found is None else [found]


WAYS = pytest.mark.parametrize("quick", [True, False], ids=["the quick way", "the usual way"])


@WAYS
def test_client_may_end_its_deflated_data_with_each_message(quick):
    messages = with_deflate()
    for sent in ("hello", "world", "x" * 300):
        assert take(messages, frame(TEXT, ended(sent.encode()), flags=RSV1), quick) == [sent]
    assert take(messages, frame(TEXT, deflated(b"on"), flags=RSV1), quick) == ["on"]


@pytest.mark.parametrize("takeover", [True, False])
def test_client_may_end_its_deflated_data_in_fragments_with_a_ping_between(takeover):
    messages = with_deflate(takeover=takeover)
    payload = ended(b"hello")
    for cut in range(1, len(payload)):
        assert messages.feed(first(TEXT, payload[:cut], RSV1) + frame(PING, b"?")) == []
        assert messages.feed(cont(payload[cut:])) == ["hello"]


@WAYS
def test_what_stands_behind_the_end_of_deflated_data_ends_the_websocket(quick):
    """It would be kept, however much comes."""
    messages = with_deflate()
    assert take(messages, frame(BINARY, ended(b"hello") + b"more", flags=RSV1), quick) == []
    (sent,), _ = frames_in(messages.take_writes())
    assert closing(sent) == (1002, "there is data behind the last block")


def test_fragments_behind_the_end_of_deflated_data_end_the_websocket():
    messages = with_deflate()
    messages.feed(first(BINARY, ended(b"hello"), RSV1))
    messages.feed(cont(bytes(4), fin=False))
    assert messages.open
    messages.feed(cont(b"x", fin=False))
    assert not messages.open
