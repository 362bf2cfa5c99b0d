"""Which cipher suite HTTP/2 gets with TLS 1.2 (RFC 9113 section 9.2.2)."""

from __future__ import annotations

import ssl

import pytest
import trustme

from gracehttp.net.certificates import TlsSettings, load

AUTHORITY = trustme.CA()
PROHIBITED = ("ECDHE-{}-AES128-SHA256", "ECDHE-{}-AES256-SHA384")
"""CBC: on the list of appendix A."""
ALLOWED = "ECDHE-{}-AES128-GCM-SHA256"
"""With RSA it is the one that each server must know."""


def chosen(folder, key, ciphers):
    """The suite that a client with `ciphers`, in its order of preference, gets together with HTTP/2."""
    certificate = AUTHORITY.issue_cert("localhost", key_type=trustme.KeyType[key])
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "cert.pem")
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(ciphers))
    context.set_alpn_protocols(["h2"])
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname="localhost")
    path = str(folder / "cert.pem")
    settings = TlsSettings(((path, path),), alpn=("h2", "http/1.1"))
    server = load(settings).default.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert server.selected_alpn_protocol() == "h2"
    return server.cipher()[0]


@pytest.mark.parametrize("key", ["RSA", "ECDSA"])
def test_suite_that_is_allowed_is_preferred_to_those_that_the_client_prefers(tmp_path, key):
    allowed = ALLOWED.format(key)
    assert chosen(tmp_path, key, [*(one.format(key) for one in PROHIBITED), allowed]) == allowed


def test_suite_that_is_prohibited_is_not_agreed_on(tmp_path):
    with pytest.raises(ssl.SSLError, match="NO_SHARED_CIPHER"):
        chosen(tmp_path, "RSA", [PROHIBITED[0].format("RSA")])
