"""Which peers are trusted."""

from __future__ import annotations

import pytest

from gracehttp.net.trusted_peers import TrustedPeers


@pytest.mark.parametrize(
    ("trusted", "peer", "is_trusted"),
    [
        (("10.1.2.3",), "10.1.2.3", True), (("10.1.2.3",), "10.1.2.4", False), (("10.0.0.0/8",), "10.255.0.1", True),
        (("10.0.0.0/8",), "11.0.0.1", False), (("2001:db8::/32",), "2001:db8:1::1", True),
        (("::/0",), "10.0.0.1", False),
        (("0.0.0.0/0",), "::1", False), (("fe80::/10",), "fe80::1%eth0", True), (("*",), "10.0.0.1", True),
        (("unix",), "10.0.0.1", False), ((), "127.0.0.1", False), (("10.0.0.0/8",), "no address", False),
    ],
)  # fmt: skip
def test_a_peer_is_trusted_by_its_address(trusted, peer, is_trusted):
    peers = TrustedPeers(trusted)
    assert peers.trusts((peer, 1)) is is_trusted
    assert peers.trusts((peer, 2)) is is_trusted  # from memory


@pytest.mark.parametrize(("trusted", "is_trusted"), [(("unix",), True), (("*",), True), (("10.0.0.0/8",), False)])
def test_a_peer_on_a_unix_socket_is_trusted_by_name(trusted, is_trusted):
    assert TrustedPeers(trusted).trusts(None) is is_trusted


def test_every_peer_is_not_every_address():
    assert not TrustedPeers(["*"]).names("10.0.0.1")


@pytest.mark.parametrize("trusted", ["localhost", "10.0.0.1/8", "10.0.0", "10.0.0.0/33", "", "unix:/run/x", "**"])
def test_what_is_no_address_is_refused(trusted):
    with pytest.raises(ValueError, match=r"does not appear to be|has host bits set"):
        TrustedPeers([trusted])


def test_what_is_remembered_is_bounded():
    peers = TrustedPeers(["10.0.0.0/8"])
    for number in range(5000):
        assert peers.names(f"10.0.{number // 256}.{number % 256}")
    assert len(peers._known) <= 1024
