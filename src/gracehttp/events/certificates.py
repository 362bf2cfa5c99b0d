"""Certificates that change, and that come to their end."""

from __future__ import annotations

from gracehttp.events.base import Event, Severity, counted


class CertificatesChanged(Event):
    """All workers of the generation use the new ones for the connections that begin from now on."""

    severity = Severity.NOTICE
    generation: int
    paths: tuple[str, ...]
    workers: int
    days_left: int

    def __str__(self) -> str:
        what = ", ".join(self.paths)
        who = f"{counted(self.workers, 'worker')} of generation {self.generation}"
        return f"{who} changed to the new certificate {what}, which expires in {counted(self.days_left, 'day')}"


class CertificatesRefused(Event):
    """The files of certificates have changed, and what is in them can't be used."""

    severity = Severity.ERROR
    generation: int
    reason: str

    def __str__(self) -> str:
        rest = f"generation {self.generation} serves on with the old one; it is tried again when the files change"
        return f"the new certificate is refused: {self.reason.rstrip('.')}; {rest}"


class CertificateExpires(Event):
    """Soon, or it has already: `days_left` is negative then. Told once a day."""

    severity = Severity.ERROR
    path: str
    names: tuple[str, ...]
    days_left: int

    def __str__(self) -> str:
        when = f"expires in {counted(self.days_left, 'day')}" if self.days_left >= 0 else "has expired"
        named = f" ({', '.join(self.names[:3])})" if self.names else ""
        return f"the certificate {self.path}{named} {when}; a new one in its place is used without a restart"


class RevocationListExpires(Event):
    """A list of revoked certificates of clients (CRL) expires soon, or has already: `days_left` is negative then, and
    OpenSSL refuses each client that shows a certificate of the list's authority. Told once a day."""

    severity = Severity.ERROR
    path: str
    days_left: int

    def __str__(self) -> str:
        if self.days_left >= 0:
            when = f"expires in {counted(self.days_left, 'day')}, and each client of its authority is refused then"
        else:
            when = "has expired: each client of its authority is refused"
        return f"the list of revoked certificates {self.path} {when}; a new one in its place is used without a restart"
