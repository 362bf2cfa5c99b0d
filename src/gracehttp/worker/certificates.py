"""The certificates of one worker: loaded at its start, changed when its supervisor says so, all ports at once.

The supervisor looks whether files have changed. Then all workers of a generation prepare the new certificates, and when
all of them could, and have read the same, the supervisor has all of them use it
(docs/decisions/0019-certificates-that-change.md).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gracehttp.config import ServerOptions
from gracehttp.http import negotiation
from gracehttp.http.settings import settings_of
from gracehttp.net.shared_page import anonymous_file
from gracehttp.net.tls13.handover import KeyLog, new_key_log
from gracehttp.values import Descriptor, Value
from gracehttp.wire.messages import CertificateFacts

if TYPE_CHECKING:
    import ssl

    from gracehttp.net.certificates import LoadedTls, TlsSettings

_MOST_WRITTEN: Final = 3


class PortTls(Value):
    """What the handshakes of a port need."""

    context: ssl.SSLContext
    key_log: KeyLog | None
    """Attached to it if the port hands its sessions over."""


class Certificates:
    """The certificates of all ports of this worker, in the order of `servers`."""

    def __init__(
        self, servers: Sequence[ServerOptions], contents: Mapping[str, bytes] | None = None, ticket_secret: bytes = b""
    ) -> None:
        """Load what the ports use at the start. It is read from `contents` if there are some and the system lets us,
        else from the files; and from the files what isn't in `contents`. `ticket_secret` is the first one: see
        `use_ticket_secret`.

        An expired certificate is no reason not to start: the supervisor tells of it. Raises `CertificateError`, and
        `StartError` if the sessions of a port can't be handed over though its options say so.
        """
        self._servers = servers
        self._prepared: list[LoadedTls | None] | None = None
        self._ticket_secret = ticket_secret
        self._written: list[int] = []
        self._given: Mapping[str, bytes] | None = None  # what was loaded from memory, until it is reported
        self.on_use: Callable[[], None] = lambda: None
        """Called when `ports` has changed."""
        self._used = self._load_given(contents)
        self._key_logs = [_key_log(server, loaded) for server, loaded in zip(servers, self._used, strict=True)]

    @property
    def ports(self) -> Sequence[PortTls | None]:
        """What each port uses for the handshakes that begin; None for one without TLS."""
        return [
            PortTls(loaded.default, key_log) if loaded is not None else None
            for loaded, key_log in zip(self._used, self._key_logs, strict=True)
        ]

    def prepare(self, contents: Mapping[str, bytes] | None = None) -> None:
        """Load what is in the files now, and keep it for `use`. The supervisor has read them for us if there are
        `contents`. Raises `CertificateError`, also if what differs from that in use is not valid now."""
        from gracehttp.net.certificates import check_validity

        self._prepared = None
        prepared = self._load_given(contents)
        for loaded, used in zip(prepared, self._used, strict=True):
            if loaded is not None:
                check_validity(loaded, time.time(), used)
        self._prepared = prepared

    def use(self) -> None:
        """Use what was prepared, for the handshakes that begin from now on."""
        if self._prepared is None:
            return
        self._used, self._prepared = self._prepared, None
        for loaded, key_log in zip(self._used, self._key_logs, strict=True):
            if loaded is not None and key_log is not None:
                for context in loaded.contexts:
                    with contextlib.suppress(OSError):  # then its sessions stay with this process
                        key_log.attach(context)
        self.on_use()

    def use_ticket_secret(self, secret: bytes) -> None:
        """Encrypt session tickets from now on with keys that come from `secret`, as the other workers do."""
        self._ticket_secret = secret
        for loaded in (*self._used, *(self._prepared or ())):
            if loaded is not None:
                loaded.use_ticket_secret(secret)

    @property
    def digest(self) -> str:
        """Tells the content of all files, as it was prepared, or else is used, from any other content."""
        used = self._prepared if self._prepared is not None else self._used
        digests = [loaded.digest if loaded is not None else b"" for loaded in used]
        return hashlib.sha256(b"".join(digests)).hexdigest()

    @property
    def facts(self) -> tuple[CertificateFacts, ...]:
        """Each certificate and each list of revoked ones once: of those prepared, or else of those in use. A list that
        never ends is left out."""
        used = self._prepared if self._prepared is not None else self._used
        found: dict[str, CertificateFacts] = {}
        for loaded in used:
            if loaded is None:
                continue
            for (path, _), context in zip(loaded.settings.pairs, loaded.contexts, strict=True):
                facts = context.facts
                found[path] = CertificateFacts(path, facts.names, facts.not_before, facts.not_after)
            crl = loaded.settings.crl
            if crl is not None and loaded.crl_validity is not None and loaded.crl_validity[1] != math.inf:
                found[crl] = CertificateFacts(crl, (), *loaded.crl_validity, is_crl=True)
        return tuple(found.values())

    def write_contents(self) -> Descriptor | None:
        """What was loaded, for other workers, as a descriptor of memory. It is closed here, some calls later: when it
        was sent. None if it can't be had: the system has no such memory, or the files have changed meanwhile."""
        from gracehttp.net.certificates import contents_of

        contents: dict[str, str] = {}
        given, self._given = self._given, None
        for loaded in self._prepared if self._prepared is not None else self._used:
            if loaded is None:
                continue
            found = contents_of(loaded, given)
            if not found:
                return None
            contents.update((path, content.decode("latin-1")) for path, content in found.items())
        try:
            memory = anonymous_file("certificates")
        except OSError:
            return None
        with open(memory, "w", encoding="utf-8", closefd=False) as file:
            json.dump(contents, file)
        self._written.append(memory)
        if len(self._written) > _MOST_WRITTEN:
            os.close(self._written.pop(0))
        return Descriptor(memory)

    def _load_given(self, contents: Mapping[str, bytes] | None) -> list[LoadedTls | None]:
        self._given = contents
        try:
            return self._load(contents)
        except OSError:
            if contents is None:
                raise
        self._given = None
        return self._load()

    def _load(self, contents: Mapping[str, bytes] | None = None) -> list[LoadedTls | None]:
        return [_load(server, self._ticket_secret, contents) for server in self._servers]


def read_contents(memory: int) -> Mapping[str, bytes]:
    """What `Certificates.write_contents` of another worker has written."""
    text = os.pread(memory, os.fstat(memory).st_size, 0)  # pread: other workers have the same offset
    return {path: content.encode("latin-1") for path, content in json.loads(text).items()}


def tls_settings(server: ServerOptions, alpn: Sequence[str]) -> TlsSettings:
    """What the options of `server`, which has TLS, say."""
    from gracehttp.net.certificates import TlsSettings  # OpenSSL costs memory that plain HTTP needs not pay

    return TlsSettings(
        pairs=tuple(zip(server.certfile, server.keyfile, strict=True)),
        password=server.keyfile_password,
        alpn=tuple(alpn),
        ca=server.ssl_ca,
        verify=server.asks_for_certificates,
        crl=server.ssl_crl,
        min_version=server.ssl_min_version,
        ciphers=server.ssl_ciphers,
        groups=server.ssl_groups,
        name=str(server.bind.address),
    )


def _key_log(server: ServerOptions, loaded: LoadedTls | None) -> KeyLog | None:
    """Where the secrets of the sessions come from that are handed over; None if none is. Raises `StartError`."""
    return new_key_log(loaded.contexts) if server.tls_handover and loaded is not None else None


def _load(server: ServerOptions, ticket_secret: bytes, contents: Mapping[str, bytes] | None) -> LoadedTls | None:
    alpn = negotiation.offers(settings_of(server), secure=bool(server.certfile))
    if not server.certfile:
        return None
    from gracehttp.net.certificates import load

    loaded = load(tls_settings(server, alpn), contents)
    if ticket_secret:
        loaded.use_ticket_secret(ticket_secret)
    return loaded
