"""How long a test waits for what should come at once, before it fails instead of hanging: one deadline for all.

It says nothing of how fast anything must be, and fits a machine that is many times slower and busy with other things.
`test_time_limits` finds those that are written as numbers.
"""

from __future__ import annotations

from typing import Final

DEADLINE_SECONDS: Final = 120.0
