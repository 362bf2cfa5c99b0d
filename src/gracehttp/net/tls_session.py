"""What a TLS handshake has agreed on, and who the client is, as applications want to see it.

Most applications never ask, so nothing is read before one does, and then once for a connection. What a proxy tells of
its own handshake with the client stands beside that, under a name of its own: it is the word of another
(docs/decisions/0040-what-a-proxy-says-of-tls.md).
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gracehttp.net.proxy_protocol import TlsFacts
from gracehttp.net.x509 import UnreadableCertificate, read_certificate

if TYPE_CHECKING:  # it needs a library that may not be there
    from gracehttp.net.tls13.session import ContinuedSession

_VERSIONS: Final = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


class SessionFacts(NamedTuple):
    """`version` and `cipher` are OpenSSL's names, `cipher_suite` is the number of the cipher suite. `server_cert` is
    PEM. `client_chain` is in DER, the client's own certificate first; empty without one. All of it was verified."""

    version: str = ""
    cipher: str = ""
    cipher_suite: int | None = None
    server_cert: str | None = None
    client_chain: tuple[bytes, ...] = ()


PROXY_TLS: Final = "gracehttp.proxy_tls"
"""Where a proxy's word stands, in `scope["extensions"]` and in the environ."""


class TlsSession:
    """Gives the facts of one connection in the forms of ASGI and WSGI.

    `read` is called at most once; None if we have had no handshake. `proxied` is what a proxy has said of its own one.
    """

    __slots__ = ("_environ", "_extension", "_facts", "_read", "proxied")

    def __init__(self, read: Callable[[], SessionFacts] | None, proxied: TlsFacts | None = None) -> None:
        self._read = read
        self.proxied = proxied
        self._facts: SessionFacts | None = None
        self._extension: dict[str, Any] | None = None
        self._environ: dict[str, str] | None = None

    @property
    def facts(self) -> SessionFacts:
        if self._facts is None:
            self._facts = SessionFacts() if self._read is None else self._read()
        return self._facts

    def extensions(self) -> dict[str, Any]:
        """What belongs into `scope["extensions"]`."""
        found: dict[str, Any] = {}
        self.add_to(found)
        return found

    def add_to(self, extensions: dict[str, Any]) -> None:
        """Put there what belongs into it: those of a scope."""
        if self._read is not None:
            known = self._extension
            extensions["tls"] = self.extension() if known is None else known.copy()
        if self.proxied is not None:
            extensions[PROXY_TLS] = _shown(self.proxied)

    def extension(self) -> dict[str, Any]:
        """The extension `tls` of ASGI (https://asgi.readthedocs.io/en/latest/specs/tls.html).

        `client_cert_error` is always None: a client whose certificate isn't accepted gets no connection.
        """
        if self._extension is None:
            facts = self.facts
            self._extension = {
                "server_cert": facts.server_cert,
                "client_cert_chain": tuple(map(ssl.DER_cert_to_PEM_cert, facts.client_chain)),
                "client_cert_name": _subject(facts.client_chain[0]) if facts.client_chain else None,
                "client_cert_error": None,
                "tls_version": _VERSIONS.get(facts.version),
                "cipher_suite": facts.cipher_suite,
            }
        return self._extension.copy()

    def environ(self) -> dict[str, Any]:
        """What a WSGI application finds in its environ, by the names that Apache's mod_ssl has for it."""
        own = {} if self._read is None else self._own_environ()
        return own if self.proxied is None else {**own, PROXY_TLS: _shown(self.proxied)}

    def _own_environ(self) -> dict[str, str]:
        if self._environ is None:
            facts = self.facts
            self._environ = {
                "SSL_PROTOCOL": facts.version,
                "SSL_CIPHER": facts.cipher,
                "SSL_CLIENT_VERIFY": "SUCCESS" if facts.client_chain else "NONE",
            }
            if facts.client_chain:
                self._environ.update(_client_variables(facts.client_chain[0]))
        return self._environ


def _shown(facts: TlsFacts) -> dict[str, Any]:
    return {
        "version": facts.version,
        "cipher": facts.cipher,
        "client_name": facts.client_name,
        "client_verified": facts.verified,
    }


def session_of(tls: ssl.SSLObject | ContinuedSession) -> TlsSession:
    """That of a handshake that is done."""

    def read() -> SessionFacts:
        context: Any = tls.context  # a `TlsContext`, or one that a test has made
        cipher = tls.cipher()
        name = cipher[0] if cipher is not None else ""
        suites = getattr(context, "cipher_suites", {})
        return SessionFacts(
            version=tls.version() or "",
            cipher=name,
            cipher_suite=suites.get(name),
            server_cert=getattr(context, "certificate", None),
            client_chain=_client_chain(tls),
        )

    return TlsSession(read)


def _client_chain(tls: ssl.SSLObject | ContinuedSession) -> tuple[bytes, ...]:
    """What was verified: the client's certificate, and those that lead from it to an authority of ours. Before Python
    3.13 there is no way to more than the first of them."""
    own = tls.getpeercert(binary_form=True)
    if own is None:
        return ()
    whole = getattr(tls, "get_verified_chain", None)  # the other one has what the client has sent, whatever it is
    return tuple(whole()) if whole is not None else (own,)


def _subject(der: bytes) -> str | None:
    try:
        return read_certificate(der).subject
    except UnreadableCertificate:
        return None


def _client_variables(der: bytes) -> dict[str, str]:
    variables = {"SSL_CLIENT_CERT": ssl.DER_cert_to_PEM_cert(der)}
    try:
        certificate = read_certificate(der)
    except UnreadableCertificate:
        return variables
    variables["SSL_CLIENT_S_DN"] = certificate.subject.encode().decode("latin-1")  # PEP 3333 on text
    variables["SSL_CLIENT_I_DN"] = certificate.issuer.encode().decode("latin-1")
    variables["SSL_CLIENT_M_SERIAL"] = f"{certificate.serial:X}"
    variables["SSL_CLIENT_V_START"] = _date(certificate.not_before)
    variables["SSL_CLIENT_V_END"] = _date(certificate.not_after)
    return variables


def _date(seconds: float) -> str:
    """As OpenSSL writes it, in English whatever the locale: `Jan  5 12:00:00 2026 GMT`."""
    moment = time.gmtime(seconds)
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    clock = time.strftime("%H:%M:%S %Y", moment)
    return f"{months[moment.tm_mon - 1]} {moment.tm_mday:2} {clock} GMT"
