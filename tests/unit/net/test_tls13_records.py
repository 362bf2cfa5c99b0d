"""The record layer of TLS 1.3: the traces of RFC 8448, each way to break a record, and any way to cut a stream."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("cryptography")

from gracehttp.net.tls13.keys import (
    ALERT,
    APPLICATION_DATA,
    CIPHERS,
    HANDSHAKE,
    HEADER_BYTES,
    LAST_SEQUENCE,
    MOST_PLAIN_BYTES,
    MOST_SEALED_BYTES,
    TrafficKeys,
    expand_label,
)
from gracehttp.net.tls13.records import (
    MOST_RECORDS_WITHOUT_DATA,
    Alert,
    ClientGaveUp,
    ClientViolated,
    ConnectionBroken,
    RecordLayer,
)
from gracehttp.net.tls13.state import TlsState

CHANGE_CIPHER_SPEC = 20  # RFC 8446 section 5.1: never inside a protected record
AES128 = "TLS_AES_128_GCM_SHA256"
SUITES = sorted(CIPHERS)
NOT_REQUESTED, REQUESTED = 0, 1

every_suite = pytest.mark.parametrize("suite", SUITES)


def key_update(request):
    return bytes((24, 0, 0, 1, request))


class Pair:
    """A record layer, and the keys of its client."""

    def __init__(self, suite=AES128, read=0, written=0):
        cipher = CIPHERS[suite]
        secrets = [bytes((number,)) * cipher.secret_bytes for number in (1, 2)]
        self.layer = RecordLayer(TlsState(suite, bytearray(secrets[0]), read, bytearray(secrets[1]), written))
        self.suite = suite
        self.seals = TrafficKeys(cipher, bytearray(secrets[0]), read)
        self.opens = TrafficKeys(cipher, bytearray(secrets[1]), written)

    def send(self, *contents, kind=APPLICATION_DATA, padding=0):
        for content in contents:
            self.layer.feed(self.seals.seal(kind, content, padding))

    def read(self):
        """All data that can be read now; `b""` at its end is the client's."""
        found = []
        while (data := self.layer.next_data()) is not None:
            found.append(data)
            if not data:
                break
        return found

    def open_all(self, records):
        """What the client makes of records of the server: kind and content of each."""
        found, at = [], 0
        while at < len(records):
            size = int.from_bytes(records[at + 3 : at + 5], "big")
            end = at + HEADER_BYTES + size
            inner = self.opens.open(records[at : at + HEADER_BYTES], records[at + HEADER_BYTES : end])
            found.append((inner[-1], inner[:-1]))
            if inner[-1] == HANDSHAKE:
                self.opens.update()
            at = end
        return found

    def violates(self, alert):
        """Reading raises, and says so to the client, and nothing can be read or written any more."""
        with pytest.raises(ClientViolated) as raised:
            self.read()
        assert raised.value.alert is alert
        assert self.open_all(self.layer.take_owed())[-1] == (ALERT, bytes((2, alert)))
        self.is_broken()

    def is_broken(self):
        with pytest.raises(ConnectionBroken):
            self.layer.next_data()
        with pytest.raises(ConnectionBroken):
            self.layer.seal(b"x")
        assert self.layer.close() == b""
        assert self.layer.state(self.suite) is None


# --- RFC 8448 section 3 ---

CLIENT_SECRET = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"
SERVER_SECRET = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"
PAYLOAD = bytes(range(50))
CLIENT_DATA = """
    17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea 42 f9 14 aa 66 bc ab 3f 2b 98 19 a8 a5 b4 6b
    39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f 5a 62 92 a2 97 70 14 bd 1e 3d ea e6 3a ee bb 21 69 49 15 e4
"""
SERVER_DATA = """
    17 03 03 00 43 2e 93 7e 11 ef 4a c7 40 e5 38 ad 36 00 5f c4 a4 69 32 fc 32 25 d0 5f 82 aa 1b 36 e3 0e fa f9 7d 90 e6
    df fc 60 2d cb 50 1a 59 a8 fc c4 9c 4b f2 e5 f0 a2 1c 00 47 c2 ab f3 32 54 0d d0 32 e1 67 c2 95 5d
"""
CLIENT_ALERT = "17 03 03 00 13 c9 87 27 60 65 56 66 b7 4d 7f f1 15 3e fd 6d b6 d0 b0 e3"
SERVER_ALERT = "17 03 03 00 13 b5 8f d6 71 66 eb f5 99 d2 47 20 cf be 7e fa 7a 88 64 a9"


@pytest.mark.parametrize(
    ("secret", "key", "iv"),
    [
        (CLIENT_SECRET, "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9"),
        (SERVER_SECRET, "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984"),
    ],
    ids=["client", "server"],
)
def test_keys_come_of_secrets_as_in_rfc_8448(secret, key, iv):
    secret = bytes.fromhex(secret)
    assert expand_label("sha256", secret, b"key", 16).hex() == key
    assert expand_label("sha256", secret, b"iv", 12).hex() == iv


def test_records_are_opened_and_sealed_as_in_rfc_8448():
    # The server has sent one record before, a session ticket.
    state = TlsState(AES128, bytearray.fromhex(CLIENT_SECRET), 0, bytearray.fromhex(SERVER_SECRET), 1)
    layer = RecordLayer(state)
    layer.feed(bytes.fromhex(CLIENT_DATA))
    assert layer.next_data() == PAYLOAD
    assert layer.seal(PAYLOAD) == bytes.fromhex(SERVER_DATA)
    layer.feed(bytes.fromhex(CLIENT_ALERT))
    assert layer.next_data() == b""
    assert layer.ended
    assert layer.close() == bytes.fromhex(SERVER_ALERT)


# --- data ---


@every_suite
@pytest.mark.parametrize("size", [1, MOST_PLAIN_BYTES - 1, MOST_PLAIN_BYTES])
def test_records_of_any_size_are_opened(suite, size):
    pair = Pair(suite)
    pair.send(b"x" * size, b"y")
    assert pair.read() == [b"x" * size, b"y"]


@every_suite
@pytest.mark.parametrize("size", [0, 1, MOST_PLAIN_BYTES, MOST_PLAIN_BYTES + 1, 5 * MOST_PLAIN_BYTES + 7])
def test_what_is_sealed_is_opened_by_the_client(suite, size):
    pair = Pair(suite)
    data = random.Random(size).randbytes(size)
    opened = pair.open_all(pair.layer.seal(memoryview(data)))
    assert b"".join(content for _, content in opened) == data
    assert all(kind == APPLICATION_DATA and len(content) <= MOST_PLAIN_BYTES for kind, content in opened)
    assert len(opened) == -(-size // MOST_PLAIN_BYTES)


def test_empty_records_and_padding_mean_nothing():
    pair = Pair()
    pair.send(b"", padding=MOST_PLAIN_BYTES)
    pair.send(b"", padding=0)
    pair.send(b"zeros\x00\x00", padding=1000)
    pair.send(b"\x00" * MOST_PLAIN_BYTES)
    assert pair.read() == [b"zeros\x00\x00", b"\x00" * MOST_PLAIN_BYTES]


@given(
    st.lists(
        st.tuples(st.sampled_from(["data", "update", "asks"]), st.binary(max_size=400), st.integers(0, 300)),
        max_size=20,
    ),
    st.sampled_from(SUITES),
    st.data(),
)
@settings(max_examples=150, deadline=None)
def test_any_way_to_cut_a_stream_gives_the_same_data(steps, suite, data):
    pair = Pair(suite)
    stream = b""
    for kind, content, padding in steps:
        if kind == "data":
            stream += pair.seals.seal(APPLICATION_DATA, content, padding)
        else:
            stream += pair.seals.seal(HANDSHAKE, key_update(kind == "asks"), padding)
            pair.seals.update()
    stream += pair.seals.seal(ALERT, bytes((1, 0)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    found, answers = [], []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        if begin < end:
            pair.layer.feed(stream[begin:end])
        found += pair.read()
        answers += pair.open_all(pair.layer.take_owed())
    assert b"".join(found) == b"".join(content for kind, content, _ in steps if kind == "data")
    assert pair.layer.ended
    asked = sum(kind == "asks" for kind, _, _ in steps)
    assert bool(asked) == bool(answers)
    assert len(answers) <= asked
    assert set(answers) <= {(HANDSHAKE, key_update(NOT_REQUESTED))}
    assert pair.open_all(pair.layer.seal(b"still")) == [(APPLICATION_DATA, b"still")]


# --- what breaks it ---


def sealed(pair, content=b"request", kind=APPLICATION_DATA, padding=0):
    return pair.seals.seal(kind, content, padding)


def flip(record, at):
    changed = bytearray(record)
    changed[at] ^= 1
    return bytes(changed)


@every_suite
@pytest.mark.parametrize("at", [1, 2, HEADER_BYTES, HEADER_BYTES + 3, -16, -1])
def test_a_record_that_was_tampered_with_is_bad_record_mac(suite, at):
    pair = Pair(suite)
    pair.layer.feed(flip(sealed(pair), at))
    pair.violates(Alert.BAD_RECORD_MAC)


@every_suite
def test_a_record_that_comes_again_is_bad_record_mac(suite):
    pair = Pair(suite)
    record = sealed(pair)
    pair.layer.feed(record + record)
    assert pair.layer.next_data() == b"request"
    pair.violates(Alert.BAD_RECORD_MAC)


@every_suite
def test_records_out_of_order_are_bad_record_mac(suite):
    pair = Pair(suite)
    first, second = sealed(pair), sealed(pair)
    pair.layer.feed(second + first)
    pair.violates(Alert.BAD_RECORD_MAC)


def test_a_record_that_is_missing_is_bad_record_mac():
    pair = Pair()
    sealed(pair)
    pair.layer.feed(sealed(pair))
    pair.violates(Alert.BAD_RECORD_MAC)


@pytest.mark.parametrize("left", [0, 1, 15, 16, 20])
def test_a_record_that_was_cut_short_is_bad_record_mac(left):
    pair = Pair()
    record = sealed(pair)
    pair.layer.feed(record[:3] + left.to_bytes(2, "big") + record[HEADER_BYTES : HEADER_BYTES + left])
    pair.violates(Alert.BAD_RECORD_MAC)


def test_a_record_of_the_key_before_is_bad_record_mac():
    pair = Pair()
    pair.send(key_update(NOT_REQUESTED), kind=HANDSHAKE)
    pair.layer.feed(sealed(pair))  # the client has not updated its own
    pair.violates(Alert.BAD_RECORD_MAC)


def test_our_own_record_sent_back_is_bad_record_mac():
    pair = Pair()
    pair.layer.feed(pair.layer.seal(b"answer"))
    pair.opens.sequence += 1
    pair.violates(Alert.BAD_RECORD_MAC)


@pytest.mark.parametrize("size", [MOST_SEALED_BYTES + 1, 65535])
def test_a_sealed_record_that_is_too_long_overflows_before_all_of_it_has_come(size):
    pair = Pair()
    pair.layer.feed(b"\x17\x03\x03" + size.to_bytes(2, "big"))
    pair.violates(Alert.RECORD_OVERFLOW)


@pytest.mark.parametrize(("size", "padding"), [(MOST_PLAIN_BYTES + 1, 0), (MOST_PLAIN_BYTES, 1), (1, MOST_PLAIN_BYTES)])
def test_an_opened_record_that_is_too_long_overflows(size, padding):
    pair = Pair()
    pair.send(b"x" * size, padding=padding)
    pair.violates(Alert.RECORD_OVERFLOW)


@pytest.mark.parametrize("kind", [CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, 24, 0, 255])
def test_a_record_that_is_not_protected_is_an_unexpected_message(kind):
    pair = Pair()
    pair.layer.feed(bytes((kind, 3, 3, 0, 1, 1)))
    pair.violates(Alert.UNEXPECTED_MESSAGE)


UNEXPECTED = {
    "nothing but padding": (0, b""),
    "a change of ciphers": (CHANGE_CIPHER_SPEC, b"\x01"),
    "a heartbeat": (24, b"\x01\x00\x00"),
    "an empty handshake": (HANDSHAKE, b""),
    "a ClientHello": (HANDSHAKE, b"\x01\x00\x00\x01\x00"),
    "a ticket": (HANDSHAKE, b"\x04\x00\x00\x01\x00"),
    "a certificate": (HANDSHAKE, b"\x0b\x00\x00\x04"),
    "a Finished": (HANDSHAKE, b"\x14"),
    "two KeyUpdates in one record": (HANDSHAKE, 2 * key_update(NOT_REQUESTED)),
    "a KeyUpdate and the begin of another message": (HANDSHAKE, key_update(NOT_REQUESTED) + b"\x18"),
}


@pytest.mark.parametrize(("kind", "content"), UNEXPECTED.values(), ids=UNEXPECTED)
def test_what_a_client_must_not_say_is_an_unexpected_message(kind, content):
    pair = Pair()
    pair.send(content, kind=kind, padding=3)
    pair.violates(Alert.UNEXPECTED_MESSAGE)


@pytest.mark.parametrize("kind", [APPLICATION_DATA, ALERT])
def test_between_the_parts_of_a_message_nothing_else_may_come(kind):
    pair = Pair()
    pair.send(key_update(NOT_REQUESTED)[:2], kind=HANDSHAKE)
    assert pair.read() == []
    pair.send(b"\x01\x00", kind=kind)
    pair.violates(Alert.UNEXPECTED_MESSAGE)


@pytest.mark.parametrize("content", [b"", b"\x01", b"\x01\x00\x01\x00"])
def test_an_alert_of_another_length_can_not_be_decoded(content):
    pair = Pair()
    pair.send(content, kind=ALERT)
    pair.violates(Alert.DECODE_ERROR)


@pytest.mark.parametrize("length", [0, 2, 2**24 - 1])
def test_a_key_update_of_another_length_can_not_be_decoded(length):
    pair = Pair()
    pair.send(b"\x18" + length.to_bytes(3, "big"), kind=HANDSHAKE)
    pair.violates(Alert.DECODE_ERROR)


@pytest.mark.parametrize("request_", [2, 255])
def test_a_key_update_of_another_value_is_an_illegal_parameter(request_):
    pair = Pair()
    pair.send(key_update(request_), kind=HANDSHAKE)
    pair.violates(Alert.ILLEGAL_PARAMETER)


@pytest.mark.parametrize("what", ["empty", "updates"])
def test_a_client_that_sends_much_without_data_is_not_listened_to_for_ever(what):
    pair = Pair()
    for _ in range(MOST_RECORDS_WITHOUT_DATA):
        send_nothing(pair, what)
    pair.send(b"data")
    assert pair.read() == [b"data"]
    for _ in range(MOST_RECORDS_WITHOUT_DATA + 1):
        send_nothing(pair, what)
    pair.violates(Alert.UNEXPECTED_MESSAGE)


def send_nothing(pair, what):
    if what == "empty":
        pair.send(b"")
    else:
        pair.send(key_update(NOT_REQUESTED), kind=HANDSHAKE)
        pair.seals.update()


# --- alerts of the client ---


@pytest.mark.parametrize("level", [1, 2])
def test_close_notify_ends_the_clients_direction_alone(level):
    pair = Pair()
    pair.send(b"last")
    pair.send(bytes((level, 0)), kind=ALERT)
    assert pair.read() == [b"last", b""]
    assert pair.layer.next_data() == b""
    assert pair.open_all(pair.layer.seal(b"answer")) == [(APPLICATION_DATA, b"answer")]
    assert pair.open_all(pair.layer.close()) == [(ALERT, b"\x01\x00")]


def test_a_client_that_has_canceled_is_still_listened_to():
    pair = Pair()
    pair.send(b"\x01\x5a", kind=ALERT)
    pair.send(b"more")
    assert pair.read() == [b"more"]


@pytest.mark.parametrize("description", [10, 20, 40, 80, 255])
def test_any_other_alert_ends_the_connection_without_an_answer(description):
    pair = Pair()
    pair.send(bytes((1, description)), kind=ALERT)
    with pytest.raises(ClientGaveUp) as raised:
        pair.read()
    assert raised.value.description == description
    assert pair.layer.take_owed() == b""
    pair.is_broken()


# --- KeyUpdate ---


@every_suite
def test_the_client_updates_its_key(suite):
    pair = Pair(suite)
    for _ in range(5):
        pair.send(b"before")
        pair.send(key_update(NOT_REQUESTED), kind=HANDSHAKE)
        pair.seals.update()
        pair.send(b"after")
        assert pair.read() == [b"before", b"after"]
        assert pair.layer.take_owed() == b""


@every_suite
def test_the_client_asks_for_an_update_of_ours_and_gets_it_before_any_data(suite):
    pair = Pair(suite)
    for _ in range(3):
        pair.send(key_update(REQUESTED), kind=HANDSHAKE)
        pair.seals.update()
        assert pair.read() == []
        update, data = pair.open_all(pair.layer.seal(b"answer"))
        assert update == (HANDSHAKE, key_update(NOT_REQUESTED))
        assert data == (APPLICATION_DATA, b"answer")


def test_one_update_answers_all_that_came_while_we_were_silent():
    pair = Pair()
    for _ in range(MOST_RECORDS_WITHOUT_DATA):
        pair.send(key_update(REQUESTED), kind=HANDSHAKE)
        pair.seals.update()
    assert pair.read() == []
    assert pair.open_all(pair.layer.take_owed()) == [(HANDSHAKE, key_update(NOT_REQUESTED))]


def test_a_key_update_in_five_records_is_one():
    pair = Pair()
    for byte in key_update(REQUESTED):
        assert pair.layer.take_owed() == b""
        pair.send(bytes((byte,)), kind=HANDSHAKE)
        assert pair.read() == []
    pair.seals.update()
    assert pair.open_all(pair.layer.take_owed()) == [(HANDSHAKE, key_update(NOT_REQUESTED))]
    pair.send(b"data")
    assert pair.read() == [b"data"]


def test_close_notify_comes_behind_the_update_that_is_owed():
    pair = Pair()
    pair.send(key_update(REQUESTED), kind=HANDSHAKE)
    pair.read()
    assert pair.open_all(pair.layer.close()) == [(HANDSHAKE, key_update(NOT_REQUESTED)), (ALERT, b"\x01\x00")]


def test_an_update_of_ours_can_ask_for_the_clients():
    pair = Pair()
    pair.layer.update(ask=True)
    pair.layer.update()
    assert pair.open_all(pair.layer.take_owed()) == [
        (HANDSHAKE, key_update(REQUESTED)),
        (HANDSHAKE, key_update(NOT_REQUESTED)),
    ]


# --- limits of use (RFC 8446 section 5.5) ---


@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"])
def test_our_key_is_updated_before_it_is_worn_out(suite):
    limit = CIPHERS[suite].most_records
    pair = Pair(suite, written=limit - 1)
    assert pair.open_all(pair.layer.seal(b"last")) == [(APPLICATION_DATA, b"last")]
    update, data = pair.open_all(pair.layer.seal(b"first"))
    assert update == (HANDSHAKE, key_update(NOT_REQUESTED))
    assert data == (APPLICATION_DATA, b"first")
    assert pair.layer.state(suite).write_sequence == 1


@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"])
def test_a_client_whose_key_is_worn_out_is_asked_once_to_update_it(suite):
    pair = Pair(suite, read=CIPHERS[suite].most_records - 1)
    for _ in range(3):
        pair.send(b"data")
        assert pair.read() == [b"data"]
    assert pair.open_all(pair.layer.take_owed()) == [(HANDSHAKE, key_update(REQUESTED))]
    pair.send(key_update(NOT_REQUESTED), kind=HANDSHAKE)
    pair.seals.update()
    pair.send(b"data")
    assert pair.read() == [b"data"]
    assert pair.layer.take_owed() == b""


def test_a_key_of_chacha20_lasts():
    pair = Pair("TLS_CHACHA20_POLY1305_SHA256", written=2**40, read=2**40)
    pair.send(b"data")
    assert pair.read() == [b"data"]
    assert pair.open_all(pair.layer.seal(b"data")) == [(APPLICATION_DATA, b"data")]


# --- going to another process ---


@every_suite
def test_what_one_process_leaves_another_one_goes_on_with(suite):
    pair = Pair(suite)
    for generation in range(4):
        pair.send(b"request")
        assert pair.read() == [b"request"]
        if generation % 2:
            pair.send(key_update(REQUESTED), kind=HANDSHAKE)
            pair.seals.update()
            assert pair.read() == []
            pair.open_all(pair.layer.take_owed())
        assert pair.open_all(pair.layer.seal(b"answer")) == [(APPLICATION_DATA, b"answer")]
        state = pair.layer.state(suite)
        pair.layer.wipe()
        pair.layer = RecordLayer(state)


@pytest.mark.parametrize("middle", ["a part of a record", "unread", "a part of a message", "owed", "ended"])
def test_in_the_middle_of_something_it_does_not_go(middle):
    pair = Pair()
    assert pair.layer.state(AES128) is not None
    match middle:
        case "a part of a record":
            pair.layer.feed(b"\x17")
        case "unread":
            pair.send(b"data")
        case "a part of a message":
            pair.send(b"\x18", kind=HANDSHAKE)
            pair.read()
        case "owed":
            pair.send(key_update(REQUESTED), kind=HANDSHAKE)
            pair.read()
        case "ended":
            pair.send(b"\x01\x00", kind=ALERT)
            pair.read()
    assert pair.layer.state(AES128) is None


def test_secrets_are_overwritten_when_they_have_gone():
    state = TlsState(AES128, bytearray(b"r" * 32), 0, bytearray(b"w" * 32), 0)
    layer = RecordLayer(state)
    gone = layer.state(AES128)
    layer.wipe()
    assert state.read_secret == state.write_secret == bytes(32)
    assert gone.read_secret == b"r" * 32
    gone.wipe()
    assert gone.read_secret == gone.write_secret == bytes(32)


def test_no_secret_is_in_what_is_printed():
    state = TlsState(AES128, bytearray(b"r" * 32), 3, bytearray(b"w" * 32), 4)
    assert repr(state) == str(state) == f"TlsState({AES128}, 3 records read, 4 written)"


@pytest.mark.parametrize(
    "state",
    [
        ("TLS_AES_128_CCM_SHA256", bytearray(32), 0, bytearray(32), 0),
        (AES128, bytearray(31), 0, bytearray(32), 0),
        (AES128, bytearray(32), 0, bytearray(48), 0),
        (AES128, bytearray(32), -1, bytearray(32), 0),
        (AES128, bytearray(32), 0, bytearray(32), LAST_SEQUENCE),
    ],
    ids=["suite", "secret", "the other secret", "sequence", "the last sequence"],
)
def test_a_state_that_makes_no_sense_is_refused(state):
    with pytest.raises(ValueError, match=r"cipher suite|secrets|sequence"):
        RecordLayer(TlsState(*state))


# --- whatever comes ---


def survive(pair, pieces):
    """Read all of `pieces`. The only errors are those with a name, and the last word is an alert that the client can
    open."""
    held = 0
    try:
        for piece in pieces:
            pair.layer.feed(piece)
            for _ in iter(pair.layer.next_data, None):
                if pair.layer.ended:
                    return
            held = max(held, pair.layer.unread_bytes)
            assert held <= MOST_SEALED_BYTES + HEADER_BYTES + len(piece)
    except ClientViolated:
        kind, content = pair.open_all(pair.layer.take_owed())[-1]
        assert (kind, content[0], len(content)) == (ALERT, 2, 2)
        pair.is_broken()
    except ClientGaveUp:
        pair.is_broken()


@given(st.lists(st.binary(min_size=1, max_size=2000), max_size=20))
@settings(deadline=None)
def test_any_bytes_give_data_or_an_error_with_a_name(pieces):
    survive(Pair(), pieces)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40), st.integers(0, 5)), max_size=40))
@settings(deadline=None)
def test_any_genuine_records_give_data_or_an_error_with_a_name(records):
    pair = Pair()
    survive(pair, [pair.seals.seal(kind, content, padding) for kind, content, padding in records])


def test_a_replay_of_many_damaged_streams():
    """A short form of a fuzz test, the same each time."""
    for seed in range(1500):
        chance = random.Random(seed)
        pair = Pair(chance.choice(SUITES))
        stream = bytearray()
        for _ in range(chance.randrange(1, 12)):
            kind = chance.choice([APPLICATION_DATA, APPLICATION_DATA, HANDSHAKE, ALERT, chance.randrange(256)])
            content = chance.randbytes(chance.choice([0, 1, 2, 5, chance.randrange(600)]))
            if kind == HANDSHAKE and chance.random() < 0.7:
                content = key_update(chance.randrange(2))
            elif kind == ALERT and chance.random() < 0.7:
                content = bytes((1, 90))
            stream += pair.seals.seal(kind, content, chance.choice([0, 0, chance.randrange(200)]))
            if kind == HANDSHAKE:
                pair.seals.update()
        for _ in range(chance.choice([0, 0, 1, 2, 5])):
            at = chance.randrange(len(stream))
            match chance.randrange(4):
                case 0:
                    stream[at] = chance.randrange(256)
                case 1:
                    del stream[at : at + chance.randrange(1, 30)]
                case 2:
                    stream[at:at] = chance.randbytes(chance.randrange(1, 30))
                case 3:
                    stream[at:at] = stream[: chance.randrange(1, 100)]
            if not stream:
                break
        pieces, at = [], 0
        while at < len(stream):
            size = chance.choice([1, 4, 5, chance.randrange(1, 700)])
            pieces.append(bytes(stream[at : at + size]))
            at += size
        survive(pair, pieces)
