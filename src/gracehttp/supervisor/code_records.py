"""Which code each generation started with: the record of its first worker, which later ones compare with theirs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from gracehttp.records import Descriptor


class CodeRecords:
    """One descriptor for each generation. What is in it is the workers' business (`worker.code_record`)."""

    def __init__(self, carried: Mapping[int, Descriptor] | None = None) -> None:
        """None, or those that another process carried."""
        self._records: dict[int, int] = dict(carried or {})

    def carry(self) -> dict[int, Descriptor]:
        return {generation: Descriptor(record) for generation, record in self._records.items()}

    def keep(self, generation: int, fds: Sequence[int]) -> None:
        """Take the record that a worker told; the first one of its generation counts."""
        for fd in fds:
            if generation in self._records:
                os.close(fd)
            else:
                self._records[generation] = fd

    def of(self, generation: int) -> Sequence[int]:
        """The record, if there is one. It stays ours."""
        record = self._records.get(generation)
        return () if record is None else (record,)

    def forget(self, generation: int) -> None:
        """The generation is gone."""
        if generation in self._records:
            os.close(self._records.pop(generation))
