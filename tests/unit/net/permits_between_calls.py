"""A worker's permits as their source stands, also beside a compiled build: that one makes its system calls without
`os`, so a test can't act between them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from gracehttp.net import permits

SOURCE = str(Path(permits.__file__).with_name("shared_permits.py"))
_spec = importlib.util.spec_from_file_location("shared_permits_between_calls", SOURCE)
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
SharedPermits = _module.SharedPermits
