"""The server's side of TLS: contexts from certificates and their keys, and a clear sentence when they are no good.

A port has a context for each of its certificates: the first is that of a client that names no server, or an unknown
one (SNI, RFC 6066 section 3). `load` makes them all, and nothing changes them afterwards: where files change, new
contexts take the place of the old ones.
"""

from __future__ import annotations

import binascii
import contextlib
import functools
import hashlib
import hmac
import os
import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gracehttp.errors import CertificateError
from gracehttp.hints import Named, hint
from gracehttp.net import openssl
from gracehttp.net.x509 import (
    Certificate,
    RevocationList,
    UnreadableCertificate,
    read_certificate,
    read_revocation_list,
)

_BEGIN_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_BEGIN_CRL = b"-----BEGIN X509 CRL-----"
_CRL = re.compile(rb"-----BEGIN X509 CRL-----(.*?)-----END X509 CRL-----", re.DOTALL)
_END_OF_KEY_LABEL = (
    b"PRIVATE KEY-----"  # of PKCS#8, encrypted or not, PKCS#1 (RSA) and SEC 1 (EC): RFC 7468, 5958, 5915
)
# What OpenSSL says when key and certificate are of one type and differ, and when they are of two types.
_MISMATCHES = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
_TOO_WEAK = frozenset({"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "EE_MD_TOO_WEAK"})
_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!aNULL:!PSK:!DSS"
"""Of TLS 1.2: those with forward secrecy and authenticated encryption, which RFC 9113 section 9.2.2 asks for too."""
_TRIES = 3
_MEMORY = re.compile(r"/proc/self/fd/\d+")


class TlsSettings(NamedTuple):
    """What a port needs for TLS, see the options of the same names.

    `pairs` are the paths of each certificate and its key. `name` tells the port from others: a session of one must not
    be resumed on another, where clients may have to prove more of themselves.
    """

    pairs: tuple[tuple[str, str], ...]
    password: str | None = None
    alpn: tuple[str, ...] = ("http/1.1",)
    ca: str | None = None
    verify: str = "none"
    crl: str | None = None
    min_version: str = "1.2"
    ciphers: str | None = None
    groups: str | None = None
    name: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """All files that matter, each once."""
        return tuple(dict.fromkeys([*(path for pair in self.pairs for path in pair), *self.authorities]))

    @property
    def authorities(self) -> tuple[str, ...]:
        """The files by which clients are judged."""
        return tuple(path for path in (self.ca, self.crl) if path is not None)


class TlsContext(ssl.SSLContext):
    """A context of OpenSSL, and what it doesn't tell: its certificate, and the numbers of its cipher suites."""

    certificate: str
    """The server's own, in PEM."""
    facts: Certificate

    @functools.cached_property
    def cipher_suites(self) -> Mapping[str, int]:
        """The numbers of the cipher suites by OpenSSL's names (RFC 8446 appendix B.4)."""
        return {one["name"]: one["id"] & 0xFFFF for one in self.get_ciphers()}  # the upper half is OpenSSL's own


class LoadedTls(NamedTuple):
    """The contexts of a port. `digest` tells the content of all its files from any other content, `authorities` that of
    the files by which clients are judged. `crl_validity` is from when to when the list of revoked ones holds."""

    settings: TlsSettings
    contexts: tuple[TlsContext, ...]
    digest: bytes
    authorities: bytes
    crl_validity: tuple[float, float] | None = None

    @property
    def default(self) -> TlsContext:
        """For all connections: it finds the others itself."""
        return self.contexts[0]

    def use_ticket_secret(self, secret: bytes) -> bool:
        """Encrypt session tickets with keys that all processes with the same `secret` derive alike, for this port with
        these files. Tells whether that can be done here."""
        if not openssl.available():
            return False
        # Everything that decides who a client is goes in: a session that was made without a certificate, or with one
        # of another authority, must not be resumed where another one is asked for (CVE-2025-23419 of nginx).
        purpose = f"{self.settings.name}\0{self.settings.verify}\0".encode() + self.authorities
        key = hmac.digest(secret, purpose + b"\0", "sha512") + hmac.digest(secret, purpose + b"\1", "sha512")
        for context in self.contexts:
            openssl.set_ticket_keys(context, key[: openssl.TICKET_KEY_BYTES])
        return True


def load(settings: TlsSettings, contents: Mapping[str, bytes] | None = None) -> LoadedTls:
    """The contexts of a port, from its files or, with `contents`, from what is there under their paths. A file that is
    not there is read.

    A certificate file is PEM: the certificate, then the intermediate ones. A key file is PEM: PKCS#8, PKCS#1 or SEC 1,
    encrypted with the password or not. Both may be the same file. Nothing is asked for on the terminal.

    Raises `CertificateError`; and `OSError` if the system can't make files of `contents`.
    """
    if contents is None:
        return _load_files(settings)
    with contextlib.ExitStack() as opened:  # OpenSSL reads files, so these are made of memory
        paths: dict[str, str] = {}
        for path in settings.files:
            if path not in contents:
                paths[path] = path
                continue
            file = opened.enter_context(open(os.memfd_create("certificate"), "wb"))
            file.write(contents[path])
            file.flush()
            paths[path] = f"/proc/self/fd/{file.fileno()}"
            os.stat(paths[path])  # /proc may not be there
        in_memory = settings._replace(
            pairs=tuple((paths[certfile], paths[keyfile]) for certfile, keyfile in settings.pairs),
            ca=paths.get(settings.ca or ""),
            crl=paths.get(settings.crl or ""),
        )
        try:
            return _load_files(in_memory)._replace(settings=settings)
        except CertificateError as exc:
            names = {in_memory: path for path, in_memory in paths.items()}
            exc.message, exc.hint = (_MEMORY.sub(lambda at: names[at[0]], text) for text in (exc.message, exc.hint))
            raise


def contents_of(loaded: LoadedTls, given: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """What is in the files of `loaded` by their paths, or was `given` for them, if it is that which was loaded; else
    nothing."""
    given = given or {}
    contents = {path: given[path] if path in given else _content(path) for path in loaded.settings.files}
    return contents if _digest(contents.values()) == loaded.digest else {}


def _load_files(settings: TlsSettings) -> LoadedTls:
    for _ in range(_TRIES):
        before = _digest(map(_content, settings.files))
        authorities = _digest(map(_content, settings.authorities))
        try:
            contexts = tuple(_context(certfile, keyfile, settings) for certfile, keyfile in settings.pairs)
            crl_validity = _crl_validity(settings.crl) if settings.crl is not None else None
        except OSError as exc:  # removed since it was looked at
            raise CertificateError(f"the certificate can't be read: {exc}.") from exc
        if _digest(map(_content, settings.files)) == before:
            break  # nothing was written meanwhile: what was read belongs together
    else:
        raise CertificateError("the files of the certificate change all the time.")
    if len(contexts) > 1:
        contexts[0].sni_callback = _Chooser(contexts)
    return LoadedTls(settings, contexts, before, authorities, crl_validity)


def check_validity(loaded: LoadedTls, now: float, used: LoadedTls | None = None) -> None:
    """Raise `CertificateError` if one of the certificates is not valid at `now`, in seconds since 1970, or the list of
    revoked ones has expired. What is the same in `used` is passed over."""
    in_use = [context.facts for context in used.contexts] if used is not None else []
    for (path, _), context in zip(loaded.settings.pairs, loaded.contexts, strict=True):
        if context.facts in in_use:
            continue
        if context.facts.not_after < now:
            raise CertificateError(f"the certificate {path} has expired.", hint="get a new one from its authority")
        if context.facts.not_before > now:
            raise CertificateError(
                f"the certificate {path} is not valid yet.", hint="is the clock of this machine right?"
            )
    if used is not None and loaded.crl_validity == used.crl_validity:
        return
    if loaded.crl_validity is not None and loaded.crl_validity[1] < now:
        raise CertificateError(
            f"the list of revoked certificates {loaded.settings.crl} has expired, so each client of its authority "
            "would be refused.",
            hint="get a new one from its authority",
        )


def _crl_validity(path: str) -> tuple[float, float] | None:
    """From when to when the lists in the file at `path` hold. Of those of one authority OpenSSL takes one that holds,
    so the last one to end counts. Of several authorities it is the first one whose lists end."""
    with open(path, "rb") as file:
        lists = _CRL.findall(file.read())
    try:
        found = [read_revocation_list(binascii.a2b_base64(one)) for one in lists]
    except ValueError as exc:  # UnreadableCertificate is one, and so is what is not base64
        raise CertificateError(f"{path} is damaged: {exc}.", hint="was it cut short?") from exc
    last: dict[bytes, RevocationList] = {}
    for one in sorted(found, key=lambda one: one.not_after):
        last[one.issuer] = one
    first = min(last.values(), key=lambda one: one.not_after, default=None)
    return (first.not_before, first.not_after) if first is not None else None


class _Chooser:
    """Chooses among the certificates of a port by the name that the client asks for. The first one with it wins."""

    def __init__(self, contexts: Sequence[TlsContext]) -> None:
        self._by_name: dict[str, TlsContext] = {}
        for context in contexts:
            for name in context.facts.names:
                self._by_name.setdefault(name, context)

    def __call__(self, tls: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        if name:
            name = name.lower().rstrip(".")
            # A wildcard stands for one label, the leftmost one (RFC 9525 section 6.3).
            found = self._by_name.get(name) or self._by_name.get(f"*.{name.partition('.')[2]}")
            if found is not None:
                tls.context = found


def _context(certfile: str, keyfile: str, settings: TlsSettings) -> TlsContext:
    _check_pem(certfile, _BEGIN_CERTIFICATE, "certificate", "certfile")
    _check_pem(keyfile, _END_OF_KEY_LABEL, "private key", "keyfile")
    context = TlsContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.min_version]
    # Compression leaks secrets by length (CRIME). Renegotiation, of TLS 1.2 only, lets a client make the server work.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if settings.alpn:
        context.set_alpn_protocols(list(settings.alpn))
    _load(context, certfile, keyfile, settings.password)
    context.certificate, context.facts = _own_certificate(certfile)
    _ask_for_certificates(context, settings)
    try:
        context.set_ciphers(settings.ciphers or _CIPHERS)
    except ssl.SSLError as exc:
        fixed = "; those of TLS 1.3 are OpenSSL's, and can't be chosen" if "TLS_" in (settings.ciphers or "") else ""
        raise CertificateError(
            f"OpenSSL knows no cipher suites by {settings.ciphers!r}.",
            hint=hint("see {}, and openssl ciphers -v -tls1_2 for the names{}", Named("ssl_ciphers"), fixed),
        ) from exc
    if settings.groups is not None:
        _use_groups(context, settings.groups)
    _log_keys(context)
    return context


def _own_certificate(certfile: str) -> tuple[str, Certificate]:
    with open(certfile, encoding="ascii", errors="replace") as file:
        text = file.read()
    begin, end = _BEGIN_CERTIFICATE.decode(), "-----END CERTIFICATE-----"
    pem = begin + text.partition(begin)[2].partition(end)[0] + end + "\n"
    try:
        return pem, read_certificate(ssl.PEM_cert_to_DER_cert(pem))
    except (UnreadableCertificate, ValueError) as exc:
        raise CertificateError(f"{certfile} is damaged: {exc}.") from exc


def _ask_for_certificates(context: TlsContext, settings: TlsSettings) -> None:
    """Ask clients for a certificate, if `settings` say so."""
    context.verify_mode = _VERIFY[settings.verify]
    if settings.ca is None or settings.verify == "none":
        return
    _check_pem(settings.ca, _BEGIN_CERTIFICATE, "certificate", "ssl_ca")
    _load_authorities(context, settings.ca)
    if settings.crl is not None:
        _check_pem(settings.crl, _BEGIN_CRL, "list of revoked certificates", "ssl_crl")
        _load_authorities(context, settings.crl)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def _load_authorities(context: TlsContext, path: str) -> None:
    try:
        context.load_verify_locations(path)
    except (OSError, ValueError) as exc:  # an SSLError is an OSError
        raise CertificateError(f"{path} is damaged: OpenSSL can't decode it.", hint="was it cut short?") from exc


def _use_groups(context: TlsContext, groups: str) -> None:
    if openssl.available():
        known = openssl.set_groups(context, groups)
    else:
        try:
            context.set_ecdh_curve(groups)
            known = True
        except ValueError:
            known = False
    if not known:
        raise CertificateError(
            f"OpenSSL knows no groups by {groups!r}.",
            hint=hint("see {}, such as X25519:P-256 or P-256 alone", Named("ssl_groups")),
        )


def _log_keys(context: TlsContext) -> None:
    """Write the secrets of each connection where the variable says, for a person who looks into the traffic."""
    path = os.environ.get("SSLKEYLOGFILE")
    if path:
        try:
            with contextlib.suppress(FileExistsError):  # OpenSSL would make it as the umask says, for all to read
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            context.keylog_filename = path
        except OSError as exc:
            raise CertificateError(
                f"the file of $SSLKEYLOGFILE, {path}, can't be written: {exc.strerror}.", hint="unset the variable"
            ) from exc


def _digest(contents: Iterable[bytes]) -> bytes:
    """Of the contents of files. One that isn't there has none, and is told by what reads it next."""
    digest = hashlib.sha256()
    for content in contents:
        digest.update(f"{len(content)}\0".encode() + content)
    return digest.digest()


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (OSError, ValueError):
        return b""


def _check_pem(path: str, marker: bytes, what: str, option: str) -> None:
    """Raise unless `path` can be read and `marker` is in it."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError as exc:
        raise CertificateError(f"the {option} {path} does not exist.", hint=hint("see {}", Named(option))) from exc
    except PermissionError as exc:
        raise CertificateError(
            f"the {option} {path} can't be read: permission denied.",
            hint="the user that runs gracehttp needs to read it",
        ) from exc
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise CertificateError(f"the {option} {path} can't be read: {reason}.") from exc
    if marker in content:
        return
    if b"-----BEGIN " not in content:
        raise CertificateError(
            f"the {option} {path} is not in PEM format.",
            hint=f"openssl converts other formats; a PEM {what} begins with -----BEGIN",
        )
    raise CertificateError(f"there is no {what} in {path}.", hint=_where_to_look(what, option))


def _where_to_look(what: str, option: str) -> str:
    if option == "ssl_ca":
        return hint("{} names the certificates of the authorities, not a key or a list", Named("ssl_ca"))
    if what == "list of revoked certificates":
        return "openssl ca -gencrl and openssl crl write one in PEM"
    if what == "private key":
        return hint("{} names the file with the private key", Named("keyfile"))
    certfile, keyfile = Named("certfile"), Named("keyfile")
    return hint("{} names the file with the certificate; was it mixed up with {}?", certfile, keyfile)


class _PasswordAsked:
    """Gives the password when OpenSSL needs it. Without a callback OpenSSL would ask on the terminal, and wait."""

    def __init__(self, keyfile: str, password: str | None) -> None:
        self._keyfile = keyfile
        self._password = password
        self.was_asked = False

    def __call__(self) -> str:
        self.was_asked = True
        if self._password is None:
            raise CertificateError(
                f"the private key {self._keyfile} is encrypted, and there is no password for it.",
                hint=hint(
                    "give {}, better by the environment variable GRACEHTTP_KEYFILE_PASSWORD", Named("keyfile_password")
                ),
            )
        return self._password


def _load(context: ssl.SSLContext, certfile: str, keyfile: str, password: str | None) -> None:
    asked = _PasswordAsked(keyfile, password)
    try:
        context.load_cert_chain(certfile, keyfile, asked)
    except ssl.SSLError as exc:
        raise _failure(exc, certfile, keyfile, was_asked=asked.was_asked) from exc
    except (OSError, ValueError) as exc:  # changed since it was checked; a password that is longer than 1024 bytes
        raise CertificateError(f"{certfile} and {keyfile} can't be used: {exc}.") from exc


def _failure(error: ssl.SSLError, certfile: str, keyfile: str, *, was_asked: bool) -> CertificateError:
    """What `error` of OpenSSL means. It tells little: a wrong password and a damaged file are both "PEM lib"."""
    if error.reason in _MISMATCHES:
        return CertificateError(
            f"the private key {keyfile} does not belong to the certificate {certfile}.",
            hint="the server's own certificate comes first in certfile, before the intermediate ones",
        )
    if error.reason in _TOO_WEAK:
        return CertificateError(
            f"the certificate {certfile} is too weak for today's TLS ({error.reason}).",
            hint="make a new one: RSA with 2048 bits or more, or P-256, signed with SHA-256",
        )
    if was_asked:
        return CertificateError(
            f"the password of the private key {keyfile} is wrong.", hint=hint("see {}", Named("keyfile_password"))
        )
    damaged, reader = (keyfile, "pkey") if _readable_certificate(certfile) else (certfile, "x509")
    return CertificateError(
        f"{damaged} is damaged: OpenSSL can't decode it ({error.reason or 'PEM'}).",
        hint=f"was it cut short? Copy it once more; openssl {reader} -in {damaged} -noout reads one that is whole",
    )


def _readable_certificate(certfile: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certfile)
    except ssl.SSLError:
        return False
    return True
