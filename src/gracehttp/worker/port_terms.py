"""On which terms a worker keeps the connections of a port, kind by kind."""

from __future__ import annotations

from typing import Final, Self

from gracehttp.http.connection import Connection, Terms
from gracehttp.values import Value


class PortTerms(Value):
    """`plain` are the terms of connections with which another process can go on, `tls` those of such that speak TLS,
    `others` those of all others."""

    plain: Terms = Terms.LAST_RESPONSE
    tls: Terms = Terms.LAST_RESPONSE
    others: Terms = Terms.LAST_RESPONSE

    @classmethod
    def of_all(cls, terms: Terms) -> Self:
        """The same for all."""
        return cls(terms, terms, terms)

    def of(self, connection: Connection) -> Terms:
        """Those of `connection`."""
        if not connection.can_move:
            return self.others
        return self.tls if connection.stream.secure else self.plain

    @property
    def hand_over(self) -> bool:
        """Whether connections go to another process."""
        return Terms.HAND_OVER in (self.plain, self.tls)

    def without_handover(self) -> Self:
        """The same where no process takes any: each has the terms of those that can't go."""
        return self.of_all(self.others)


STAY: Final = PortTerms.of_all(Terms.STAY)
