"""What names a host: in Host, in the target of a request, and in what a proxy says (RFC 3986 section 3.2.2). Pure."""

from __future__ import annotations

import ipaddress
import re

# uri-host [ ":" port ] of RFC 3986 sections 3.2.2 and 3.2.3. What is between the brackets is judged by itself.
_HOST = re.compile(rb"(?:\[([^\[\]]*)\]|(?:[0-9A-Za-z._~!$&'()*+,;=-]++|%[0-9A-Fa-f]{2})*+)(?::[0-9]*)?")
_IPV6_CHARACTERS = re.compile(rb"[0-9A-Fa-f:.]+")  # no zone: that means something to the client's machine only
_IPV_FUTURE = re.compile(rb"[vV][0-9A-Fa-f]+\.[0-9A-Za-z._~!$&'()*+,;=:-]+")


def is_valid_host(host: bytes) -> bool:
    """Whether `host` may stand in a Host field (RFC 9110 section 7.2); empty may."""
    match = _HOST.fullmatch(host)
    return match is not None and (match[1] is None or _is_ip_literal(match[1]))


def _is_ip_literal(inside: bytes) -> bool:
    """Whether `inside` may stand between the brackets of a host: IPv6address or IPvFuture (RFC 3986 section 3.2.2)."""
    if _IPV6_CHARACTERS.fullmatch(inside) is None:
        return _IPV_FUTURE.fullmatch(inside) is not None
    try:
        ipaddress.IPv6Address(inside.decode("ascii"))
    except ValueError:
        return False
    return True
