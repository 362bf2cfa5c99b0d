"""What the workers of each generation have loaded, for those that start later: the files may be no good by then.

Descriptors of memory, by the digest of what is in it. Only workers read them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from gracehttp.values import Descriptor


class Contents:
    """Owns the descriptors."""

    def __init__(self, carried: Mapping[int, Mapping[str, Descriptor]]) -> None:
        """Those that another process carried."""
        self._kept = {generation: dict(found) for generation, found in carried.items()}

    def carry(self) -> dict[int, dict[str, Descriptor]]:
        return {generation: dict(found) for generation, found in self._kept.items()}

    def keep(self, generation: int, digest: str, contents: Descriptor) -> None:
        """Take what a worker has loaded. All that have loaded it offer the same."""
        kept = self._kept.setdefault(generation, {})
        if digest in kept:
            os.close(contents)
        else:
            kept[digest] = contents

    def of(self, generation: int, digest: str) -> Descriptor | None:
        """The descriptor stays the property of this object."""
        return self._kept.get(generation, {}).get(digest)

    def forget_others(self, generation: int, digest: str) -> None:
        """Only this is used."""
        kept = self._kept.get(generation, {})
        for other in kept.keys() - {digest}:
            os.close(kept.pop(other))

    def forget(self, generation: int) -> None:
        """The generation is gone."""
        for contents in self._kept.pop(generation, {}).values():
            os.close(contents)
