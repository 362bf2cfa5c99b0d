"""The server's side of TLS: one context from a certificate and its key, and a clear sentence when they are no good."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from gracehttp.errors import CertificateError
from gracehttp.hints import Named, hint

_BEGIN_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_END_OF_KEY_LABEL = (
    b"PRIVATE KEY-----"  # of PKCS#8, encrypted or not, PKCS#1 (RSA) and SEC 1 (EC): RFC 7468, 5958, 5915
)
# What OpenSSL says when key and certificate are of one type and differ, and when they are of two types.
_MISMATCHES = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
_TOO_WEAK = frozenset({"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "EE_MD_TOO_WEAK"})


def server_context(
    certfile: str, keyfile: str | None, password: str | None, *, alpn: Sequence[str] = ("http/1.1",)
) -> ssl.SSLContext:
    """A context for TLS 1.2 and 1.3, with the protocols `alpn` in the server's order of preference (RFC 7301).

    `certfile` is PEM: the certificate, then the intermediate ones. `keyfile` is PEM: PKCS#8, PKCS#1 or SEC 1,
    encrypted with `password` or not; None means that it stands in `certfile`. Never asks on the terminal.

    Raises `CertificateError`.
    """
    _check_pem(certfile, _BEGIN_CERTIFICATE, "certificate", "certfile")
    _check_pem(keyfile or certfile, _END_OF_KEY_LABEL, "private key", "keyfile")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Compression leaks secrets by length (CRIME). Renegotiation, of TLS 1.2 only, lets a client make the server work.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    _load(context, certfile, keyfile or certfile, password)
    return context


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
    raise CertificateError(f"there is no {what} in {path}.", hint=_where_to_look(what))


def _where_to_look(what: str) -> str:
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
