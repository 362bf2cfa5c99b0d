"""Which code each generation started with: the record of its first worker, which later ones compare with theirs."""

from __future__ import annotations

import os
from collections.abc import Mapping

from gracehttp.values import Descriptor


class CodeRecords:
    """One descriptor for each generation. Only workers read what is in it (`worker.code_record`)."""

    def __init__(self, carried: Mapping[int, Descriptor] | None = None) -> None:
        """`carried` are those of another process."""
        self._records = dict(carried or {})

    def carry(self) -> dict[int, Descriptor]:
        return dict(self._records)

    def keep(self, generation: int, record: Descriptor) -> None:
        """Take the record that a worker told; the first one of its generation counts."""
        if generation in self._records:
            os.close(record)
        else:
            self._records[generation] = record

    def of(self, generation: int) -> Descriptor | None:
        """The record, if there is one. It stays the property of this object."""
        return self._records.get(generation)

    def forget(self, generation: int) -> None:
        """The generation is gone."""
        if generation in self._records:
            os.close(self._records.pop(generation))
