"""What a session of TLS 1.3 costs with OpenSSL, and when it goes on here: `python -m benchmarks.tls_records`.

Prints microseconds to seal and to open a record, and the memory of a session that waits. The figures stand in
docs/decisions/0021-tls-handover.md.
"""

from __future__ import annotations

import gc
import os
import ssl
import time
from collections.abc import Callable

import trustme

from gracehttp.net.tls13.handover import continue_session, new_key_log, witness_of
from gracehttp.net.tls13.session import ContinuedSession
from gracehttp.net.tls13.witness import Witness

TIMES = 20_000
SESSIONS = 1000
SMALL = b"x" * 300


class Pair:
    """A client and a server of OpenSSL in memory, the handshake done."""

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext, witness: Witness) -> None:
        self.to_server, self.to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.from_client, self.from_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server.wrap_bio(self.to_server, self.from_server, server_side=True)
        self.client = client.wrap_bio(self.to_client, self.from_client, server_hostname="localhost")
        self.witness = witness
        hello = b""
        for _ in range(2):
            _try(self.client.do_handshake)
            data = self.from_client.read()
            hello = hello or data
            witness.hello(hello)
            self.to_server.write(data)
            _try(self.server.do_handshake)
            witness.step()
            if self.server.version() is None or self.client.version() is None:
                self.to_client.write(self.from_server.read())
        witness.opened(self.server, b"")
        records = self.from_server.read()
        witness.written(records)
        self.to_client.write(records)

    def go_on(self) -> ContinuedSession:
        state = self.witness.state()
        assert state is not None
        return continue_session(state)


def _try(step: Callable[[], None]) -> None:
    try:
        step()
    except ssl.SSLWantReadError:
        return


def microseconds(call: Callable[[], object]) -> float:
    """Of one call, the best of five rounds."""
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(TIMES // 5):
            call()
        best = min(best, (time.perf_counter() - begin) / (TIMES // 5))
    return best * 1e6


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory(make: Callable[[], object]) -> float:
    """KiB of each of what `make` makes."""
    kept = [make() for _ in range(100)]  # what is made once is there
    gc.collect()
    before = resident_bytes()
    kept += [make() for _ in range(SESSIONS)]
    return (resident_bytes() - before) / SESSIONS / 1024


def pairs() -> Callable[[], Pair]:
    """What makes a client and a server that have shaken hands."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)
    key_log = new_key_log([server])
    return lambda: Pair(server, client, witness_of(key_log))


def handed_over(pair: Pair) -> Pair:
    """`pair`, after the trial has seen a record of each direction: it can go on with our record layer."""
    pair.client.write(SMALL)
    record = pair.from_client.read()
    pair.witness.read(record)
    pair.to_server.write(record)
    pair.server.read(65536)
    return pair


def tell_records(one: Pair, two: Pair) -> None:
    """The time to seal a record and to open one, without what the client takes for its own."""
    session = two.go_on()

    def client_alone() -> None:
        one.client.write(SMALL)
        one.from_client.read()

    def openssl_seals() -> None:
        one.server.write(SMALL)
        one.from_server.read()

    def openssl_opens() -> None:
        one.client.write(SMALL)
        one.to_server.write(one.from_client.read())
        one.server.read(65536)

    def ours_seals() -> None:
        session.write(SMALL)
        session.outgoing.read()

    def ours_opens() -> None:
        two.client.write(SMALL)
        session.incoming.write(two.from_client.read())
        session.read(65536)

    print(f"{one.server.cipher()}, records of {len(SMALL)} bytes")
    for name, seals, opens in (("OpenSSL:", openssl_seals, openssl_opens), ("ours:   ", ours_seals, ours_opens)):
        open_us = microseconds(opens) - microseconds(client_alone)
        print(f"{name} {microseconds(seals):.1f} us to seal, {open_us:.1f} us to open")


def tell_handover(two: Pair) -> None:
    leave, arrive = microseconds(two.witness.state), microseconds(two.go_on)
    print(f"to leave {leave:.0f} us, the trial included; to arrive {arrive - leave:.0f} us")


def tell_memory(pair: Callable[[], Pair], two: Pair) -> None:
    def server_alone() -> object:
        made = pair()
        return made.server, made.to_server, made.from_server

    def continued() -> object:
        made = two.go_on()
        made.write(SMALL)
        made.outgoing.read()
        return made

    print(f"memory of a session: OpenSSL {memory(server_alone):.1f} KiB, ours {memory(continued):.1f} KiB")


def main() -> None:
    pair = pairs()
    two = handed_over(pair())
    tell_records(pair(), two)
    tell_handover(two)
    tell_memory(pair, two)


if __name__ == "__main__":
    main()
