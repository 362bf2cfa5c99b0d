"""Which peers are trusted to say who their clients are: addresses, networks, Unix sockets. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

UNIX: Final = "unix"
ANY: Final = "*"
_MOST_REMEMBERED: Final = 1024


def read_network(text: str) -> IPv4Network | IPv6Network:
    """An address, or a network in CIDR notation (RFC 4632). Raises `ValueError` that says what is wrong with it."""
    import ipaddress  # most processes need none

    try:
        return ipaddress.ip_network(text)
    except ValueError as exc:
        try:
            one = ipaddress.ip_interface(text)
        except ValueError:
            raise exc from None
        raise ValueError(f"{exc}: write {one.network} for the network, or {one.ip} for that address alone") from None


class TrustedPeers:
    """Made of addresses, networks, `unix` and `*`. Remembers what it was asked lately."""

    __slots__ = ("_known", "_networks", "_unix", "any")

    def __init__(self, trusted: Iterable[str]) -> None:
        """Raises `ValueError` for what is none of them."""
        names = set(trusted)
        self.any = ANY in names
        """Every peer is trusted. That is no word about the addresses that they name."""
        self._unix = UNIX in names
        self._networks = [read_network(text) for text in sorted(names - {ANY, UNIX})]
        self._known: dict[str, bool] = {}

    def trusts(self, peer: tuple[str, int] | None) -> bool:
        """Whether a peer is trusted: None is one on a Unix socket."""
        if self.any:
            return True
        return self._unix if peer is None else self.names(peer[0])

    def names(self, host: str) -> bool:
        """Whether `host`, the text of an address, is one of the addresses or in one of the networks."""
        known = self._known.get(host)
        if known is None:
            known = self._look(host)
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[host] = known
        return known

    def _look(self, host: str) -> bool:
        if not self._networks:
            return False
        import ipaddress

        try:
            address = ipaddress.ip_address(host.partition("%")[0])  # the zone is a matter of this machine
        except ValueError:
            return False
        return any(address in network for network in self._networks)
