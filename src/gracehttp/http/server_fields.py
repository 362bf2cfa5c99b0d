"""The fields that the server adds to each response: Date, Server, and those of `--header` (RFC 9110 sections 6.6.1 and
10.2.4)."""

from __future__ import annotations

from time import gmtime
from typing import Final

from gracehttp.http.head import Header

SERVER_LINE: Final = b"Server: gracehttp\r\n"

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def date_line(second: int) -> bytes:
    """The Date field for seconds since the epoch (IMF-fixdate, RFC 9110 section 5.6.7), whatever the locale."""
    t = gmtime(second)
    day, month = _DAYS[t.tm_wday], _MONTHS[t.tm_mon - 1]
    clock = f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
    return f"Date: {day}, {t.tm_mday:02} {month} {t.tm_year:04} {clock} GMT\r\n".encode()


class ServerLines:
    """The fields that the server adds, as lines of HTTP/1.1, made anew each second.

    A field that the application gives as well stands beside ours, except Date and Server: there ours is left out.
    """

    __slots__ = ("_dates", "_server", "begins", "date", "date_and_server", "ends", "more")

    def __init__(self, *, server: bool = True, date: bool = True, more: tuple[Header, ...] = ()) -> None:
        """`more` are added to each response. A Server field among them stands instead of ours, and without `server`
        too."""
        own = [(name, value) for name, value in more if name.lower() == b"server"]
        self._server = _lines(own) if own else SERVER_LINE if server else b""
        self.more = _lines([field for field in more if field not in own])
        """Those that options ask for, without Server."""
        self._dates = date
        self.begins = self.ends = 0.0
        """For which time, in seconds since the epoch, the lines are right: from `begins` until before `ends`."""
        self.date = self.date_and_server = b""

    def renew(self, now: float) -> None:
        """Make the lines of this second."""
        second = int(now)
        self.date = date_line(second) if self._dates else b""
        self.date_and_server = self.date + self._server + self.more
        self.begins, self.ends = second, second + 1

    def of(self, now: float) -> bytes:
        """All of them, at the time `now`."""
        if not self.begins <= now < self.ends:
            self.renew(now)
        return self.date_and_server

    def beside(self, has_date: bool, has_server: bool) -> bytes:
        """What of them the application has not given itself."""
        date = b"" if has_date else self.date
        return date + (self.more if has_server else self._server + self.more)


def _lines(fields: list[Header]) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in fields)
