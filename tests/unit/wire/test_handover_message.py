"""The message in which connections are handed over: there and back, damaged, and of other releases."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gracehttp.wire.handover import (
    MESSAGE_BYTES,
    MOST_CONNECTIONS,
    MOST_PIPELINED_BYTES,
    MOST_SECRET_BYTES,
    Carried,
    CarriedTls,
    Proxied,
    ProxiedTls,
    UnreadableHandover,
    count,
    decode,
    encode,
)

ENDS = st.tuples(st.ip_addresses().map(str), st.integers(0, 65535))
PROXIED = st.builds(
    Proxied,
    st.none() | ENDS,
    st.none() | ENDS | st.just(("/run/x.sock", None)),
    st.booleans(),
    st.none() | st.builds(ProxiedTls, st.text(), st.text(), st.none() | st.text(), st.booleans()),
)
SEQUENCES = st.integers(0, 2**64 - 1)
TLS = st.integers(0, MOST_SECRET_BYTES).flatmap(
    lambda size: st.builds(
        CarriedTls,
        st.sampled_from(["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]),
        st.binary(min_size=size, max_size=size).map(bytearray),
        SEQUENCES,
        st.binary(min_size=size, max_size=size).map(bytearray),
        SEQUENCES,
    )
)
CONNECTIONS = st.lists(
    st.builds(
        Carried,
        st.booleans(),
        st.floats(0, 1e6).map(lambda idle: round(idle, 3)),
        st.binary(max_size=300),
        proxied=st.none() | PROXIED,
        tls=st.none() | TLS,
    ),
    max_size=MOST_CONNECTIONS,
)


def message_of(*connections, rest=b"", version=2):
    return json.dumps({"version": version, "connections": connections}).encode() + b"\n" + rest


@given(CONNECTIONS)
def test_what_is_encoded_is_decoded(connections):
    assert decode(encode(connections)) == connections


@given(CONNECTIONS)
def test_the_number_of_connections_is_known_and_never_less_than_one(connections):
    assert count(encode(connections)) == max(1, len(connections))


def test_pipelined_bytes_may_be_anything():
    carried = [Carried(received=b'\n{"version": 2}\n'), Carried(received=b""), Carried(received=bytes(range(256)))]
    assert decode(encode(carried)) == carried


def test_the_largest_message_is_not_longer_than_a_receiver_expects():
    address = ":".join(["ffff"] * 8)
    for server in ((address, 65535), ("\\" * 108, None)):
        facts = ProxiedTls(
            '"' * 64, "\\" * 64, "\u00e9" * 128, True
        )  # what JSON makes most of, of 64, 64 and 256 bytes
        proxied = Proxied((address, 65535), server, True, facts)
        size = MOST_PIPELINED_BYTES // MOST_CONNECTIONS
        secrets = bytearray(MOST_SECRET_BYTES), bytearray(MOST_SECRET_BYTES)
        tls = CarriedTls("TLS_CHACHA20_POLY1305_SHA256", secrets[0], 2**64 - 1, secrets[1], 2**64 - 1)
        largest = [Carried(False, 123456789.123, b"x" * size, proxied=proxied, tls=tls)] * MOST_CONNECTIONS
        assert len(encode(largest)) <= MESSAGE_BYTES


@given(CONNECTIONS.filter(bool), st.data())
def test_a_message_that_was_cut_is_unreadable_or_whole_up_to_what_it_says(connections, data):
    message = encode(connections)
    cut = message[: data.draw(st.integers(0, len(message) - 1))]
    nothing_behind = all(not one.received and (one.tls is None or not one.tls.read_secret) for one in connections)
    if len(cut) == message.index(b"\n") and nothing_behind:
        assert decode(cut) == connections  # only the end of the line is missing
    else:
        with pytest.raises(UnreadableHandover):
            decode(cut)
    assert 1 <= count(cut) <= len(connections)


@given(st.binary(max_size=200) | CONNECTIONS.map(encode), st.integers(0, 199), st.integers(1, 255))
def test_a_damaged_message_is_unreadable_or_means_something_and_never_more(message, at, change):
    damaged = bytearray(message)
    if at < len(damaged):
        damaged[at] ^= change
    assert count(bytes(damaged)) >= 1
    try:
        carried = decode(bytes(damaged))
    except UnreadableHandover:
        return
    assert all(0 <= one.idle_seconds < math.inf and isinstance(one.received, bytes) for one in carried)
    assert sum(len(one.received) for one in carried) <= len(damaged)


FACTS = {"cipher": "TLS_AES_128_GCM_SHA256", "secret": 0, "read": 0, "written": 0}
UNREADABLE = {
    "nothing": b"",
    "no text": b"\xff\n",
    "cut": b"{\n",
    "a number": b"2\n",
    "a list": b"[1]\n",
    "no version": b'{"connections": []}\n',
    "the version before": b'{"version": 1, "fresh": false}\n',
    "a later version": message_of({"received": 0}, version=4),
    "TLS that says nothing": message_of({"received": 0, "tls": None}, version=3),
    "TLS without a number": message_of({"received": 0, "tls": {"cipher": "x", "secret": 0, "read": 1}}, version=3),
    "a secret that is not whole": message_of({"received": 0, "tls": FACTS | {"secret": 1}}, rest=b"x", version=3),
    "a negative secret": message_of({"received": 0, "tls": FACTS | {"secret": -1}}, version=3),
    "a secret that is too long": message_of({"received": 0, "tls": FACTS | {"secret": 65}}, rest=b"x" * 130, version=3),
    "facts of a proxy's TLS that are not whole": message_of(
        {"received": 0, "proxied": {"client": None, "server": None, "tls": True, "tls_facts": {"version": "TLSv1.3"}}}
    ),
    "no connections": b'{"version": 2}\n',
    "connections that are no list": b'{"version": 2, "connections": {"received": 0}}\n',
    "a connection that is no object": message_of({"received": 0}, 5),
    "no size": message_of({"fresh": True}),
    "a size that is no number": message_of({"received": "0"}),
    "half a byte": message_of({"received": 0.5}, rest=b"x"),
    "a negative size": message_of({"received": -1}),
    "more than there is": message_of({"received": 2}, rest=b"x"),
    "more than there is left": message_of({"received": 2}, {"received": 2}, rest=b"xxx"),
    "a proxy that says nothing": message_of({"received": 0, "proxied": None}),
    "a proxied client that is none": message_of({"received": 0, "proxied": {"client": 5, "server": None}}),
    "a proxied client without port": message_of({"received": 0, "proxied": {"client": ["::1"], "server": None}}),
    "a proxied client whose port is too high": message_of(
        {"received": 0, "proxied": {"client": ["::1", 65536], "server": None}}
    ),
    "a proxied server whose port is negative": message_of(
        {"received": 0, "proxied": {"client": None, "server": ["::1", -1]}}
    ),
    "a proxied server that is none": message_of({"received": 0, "proxied": {"client": None, "server": [1, 2]}}),
    "nested without end": b"[" * 100_000,
}


@pytest.mark.parametrize("message", UNREADABLE.values(), ids=UNREADABLE)
def test_what_can_not_be_read_is_told_in_one_line(message):
    with pytest.raises(UnreadableHandover) as raised:
        decode(message)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300
    assert count(message) >= 1


@pytest.mark.parametrize("value", [1e300, math.inf, math.nan, -5, 10**400, "5", None, []])
def test_an_idle_time_that_makes_no_sense_is_none(value):
    (carried,) = decode(message_of({"received": 0, "idle_seconds": value}))
    assert carried.idle_seconds == 0.0


def test_what_is_missing_has_its_default():
    assert decode(message_of({"received": 0})) == [Carried(fresh=False, idle_seconds=0.0, received=b"")]


def test_fields_that_are_not_known_are_passed_over():
    message = json.loads(encode([Carried()]).partition(b"\n")[0])
    message["added"] = ["something"]
    message["connections"][0]["added"] = {"something": 1}
    assert decode(json.dumps(message).encode() + b"\n") == [Carried()]


def test_the_number_in_a_message_that_can_not_be_read_whole_is_still_known():
    assert count(message_of({"received": 99}, {"received": 99})) == 2


def secret_of(number):
    return bytearray(b"secret %d" % number * 4)


def test_a_connection_that_speaks_tls_makes_a_message_that_a_release_without_it_can_not_take_for_plain():
    tls = CarriedTls("TLS_AES_128_GCM_SHA256", secret_of(1), 3, secret_of(2), 5)
    assert json.loads(encode([Carried()]).partition(b"\n")[0])["version"] == 2
    assert json.loads(encode([Carried(), Carried(tls=tls)]).partition(b"\n")[0])["version"] == 3


def test_no_secret_is_in_the_line_or_in_what_is_told_when_it_can_not_be_read():
    tls = CarriedTls("TLS_AES_128_GCM_SHA256", secret_of(1), 3, secret_of(2), 5)
    message = encode([Carried(tls=tls)])
    assert b"secret 1" in message
    assert b"secret 1" not in message.partition(b"\n")[0]
    assert "secret 1" not in repr(Carried(tls=tls))
    for cut in range(len(message)):
        with pytest.raises(UnreadableHandover) as raised:
            decode(message[:cut])
        assert "secret 1" not in str(raised.value)


def test_secrets_are_overwritten():
    tls = CarriedTls("TLS_AES_128_GCM_SHA256", secret_of(1), 3, secret_of(2), 5)
    tls.wipe()
    assert tls.read_secret == tls.write_secret == bytes(32)


def test_a_new_connection_is_the_default():
    assert Carried() == Carried(fresh=True, idle_seconds=0.0, received=b"")
