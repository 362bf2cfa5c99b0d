"""The number of this release."""

from __future__ import annotations

RELEASE = "0.1.0"
