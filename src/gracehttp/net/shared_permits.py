"""A worker's side of the permits of one port: `permits` tells how they work.

Each change of an entry stands before or behind the system call as the supervisor relies on it, and the functions of
`system_calls` make nothing else in between.
"""

from __future__ import annotations

import os

from gracehttp.net import system_calls
from gracehttp.net.kernel_view import is_readable
from gracehttp.net.permits import Transfer
from gracehttp.net.shared_page import SharedPage

_HELD_MASK = (1 << 32) - 1
_WORD_MASK = (1 << 64) - 1
_ODD = 1 << 32  # the lowest bit of the sequence number, which is the upper half of the word

_NO_WORDS = memoryview(bytearray(8)).cast("Q")


class SharedPermits:
    """A limit that all workers share. Owns the descriptors that it is given, copies of those of a `PermitPool`.

    See `permits.Permits`.
    """

    __slots__ = ("_debts", "_entries", "_entry", "_free", "_no_debt_at", "_owed", "_slot", "page")

    def __init__(self, free: int, owed: int, ledger: int, slot: int) -> None:
        """`ledger` is the file of the port's shared page, `slot` this worker's place in it."""
        self.page = SharedPage(ledger)
        os.close(ledger)
        self._free = free
        self._owed = owed
        self._entries = self.page.words("held")
        self._debts = self.page.words("debts")
        self._slot = slot
        self._no_debt_at = 1  # the supervisor's sequence number when there was no debt; odd: it is not known
        self._entry = self._entries[slot] & ~_HELD_MASK  # as it is between two operations: even

    @property
    def held(self) -> int:
        return self._entry & _HELD_MASK

    # These are on the path of each new connection: hence one system call for each, and none where there is no debt.

    def take(self) -> bool:
        entry = self._entry
        self._entries[self._slot] = (entry + _ODD) & _WORD_MASK
        try:
            taken = system_calls.take_one(self._free)
        except OSError:
            self._close_entry(0)
            raise
        if not taken:
            self._close_entry(0)
            return False
        self._entry = self._entries[self._slot] = (entry + 2 * _ODD + 1) & _WORD_MASK
        return True

    def give_back(self) -> None:
        entry = self._entry
        self._entries[self._slot] = (entry + _ODD) & _WORD_MASK
        if self.may_pass_on() or not self._pay():
            system_calls.give_one(self._free)
        self._entry = self._entries[self._slot] = (entry + 2 * _ODD - 1) & _WORD_MASK

    def may_pass_on(self) -> bool:
        return self._debts[0] == self._no_debt_at

    def _pay(self) -> bool:
        """Pay one permit of the debt; returns whether there was one."""
        sequence = self._debts[0]  # before the eventfd: if the debt is raised in between, this number is outdated
        if system_calls.take_one(self._owed):
            return True
        if sequence and not sequence & 1:  # 0: an older release that keeps no such number
            self._no_debt_at = sequence
        return False

    @property
    def available(self) -> bool:
        return is_readable(self._free)  # an eventfd is while its count isn't 0 (eventfd(2))

    def transfer(self) -> Transfer:
        return Transfer(self._open_entry, self._close_entry)

    def fileno(self) -> int | None:
        return self._free

    def close(self) -> None:
        self._entries = self._debts = _NO_WORDS  # compiled, each counts as a user of the page
        self.page.close()
        os.close(self._free)
        os.close(self._owed)

    def _open_entry(self) -> None:
        self._entries[self._slot] = (self._entry + _ODD) & _WORD_MASK

    def _close_entry(self, change: int) -> None:
        self._entry = self._entries[self._slot] = (self._entry + 2 * _ODD + change) & _WORD_MASK
