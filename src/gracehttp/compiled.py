"""Which build of the hot path runs: the compiled one, or the interpreted one.

Both are made of the same `.py` files. `setup.py` compiles those of the hot path when gracehttp is installed, and leaves
beside them extension modules, which Python prefers, and a record. This module decides by that record which of the two
this process runs, for all of them alike: compiled modules know each other's structures. It is imported before them.

The environment variable `GRACEHTTP_COMPILED` chooses, also for the workers, which inherit it: `auto` (the default) is
compiled where it can be, `off` interpreted, `require` compiled or not at all.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Mapping, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from gracehttp.errors import ConfigurationError, StartError

VARIABLE: Final = "GRACEHTTP_COMPILED"
_CHOICES: Final = ("auto", "off", "require")
_PACKAGE: Final = Path(__file__).parent
RECORD: Final = f"compiled{EXTENSION_SUFFIXES[0]}.json"
"""The name of the record, one for each kind of Python that may share an editable installation.

- `reason`: why it was not compiled; empty if it was. `details`: what the compiler said about that.
- `sources`: the checksum of each file that was compiled, by its path from the package.
- `modules`: those of them that became extension modules. From the others compiled modules took functions.
"""


class Build(NamedTuple):
    """What runs. `reason`: why it is not the compiled build. `details`: more about that, on several lines."""

    compiled: bool
    reason: str = ""
    details: str = ""

    def __str__(self) -> str:
        return "compiled" if self.compiled else f"interpreted ({self.reason})"


def decide(environ: Mapping[str, str], package: Path) -> Build:
    """Which build of the `package` runs under these variables."""
    if environ.get(VARIABLE) == "off":
        return Build(False, f"{VARIABLE}=off")
    try:
        record: dict[str, Any] = json.loads((package / RECORD).read_bytes())
        reason, sources = record["reason"], dict(record["sources"])
    except FileNotFoundError:
        return Build(False, "it was not installed for this Python")
    except (OSError, ValueError, LookupError, TypeError) as error:
        return Build(False, "the record of its installation can't be read", str(error))
    if reason:
        return Build(False, reason, record.get("details", ""))
    # In an editable installation one can change a file, and forget to compile it. What one reads is what runs.
    changed = [name for name, expected in sources.items() if _checksum_of(package / name) != expected]
    if changed:
        return Build(False, f"{changed[0]} was changed after it was compiled", "\n".join(changed))
    missing = [name for name in record.get("modules", ()) if not _module_of(package / name).exists()]
    if missing:  # Python would take its source, and mix both builds
        return Build(False, f"the compiled module of {missing[0]} is gone", "\n".join(missing))
    return Build(True)


def check(environ: Mapping[str, str] = os.environ) -> None:
    """Raise `ConfigurationError` if the variable has another value, `StartError` if it requires what isn't there."""
    choice = environ.get(VARIABLE) or "auto"
    if choice not in _CHOICES:
        raise ConfigurationError(f"{VARIABLE} is {choice!r}.", hint=f"it can be {', '.join(_CHOICES)}")
    if choice == "require" and not BUILD.compiled:
        raise StartError(
            f"{VARIABLE}=require, but gracehttp is {BUILD}.",
            hint=f"install it again where a C compiler and the headers of Python are, or leave {VARIABLE} away",
            details=BUILD.details,
        )


class _SourcesFirst:
    """Finds the `.py` file of a module of ours where Python would take the extension module beside it.

    A finder needs no base class. That of `importlib.abc` would import `tempfile` and a dozen others at each start.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("gracehttp."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, ExtensionFileLoader):
            return spec
        return spec_from_file_location(fullname, Path(spec.loader.path).with_name(f"{fullname.rpartition('.')[2]}.py"))


def _module_of(source: Path) -> Path:
    return source.with_suffix(EXTENSION_SUFFIXES[0])


def _checksum_of(source: Path) -> int | None:
    try:
        return zlib.crc32(source.read_bytes())
    except OSError:
        return None


BUILD: Final = decide(os.environ, _PACKAGE)
"""That of this process."""

if not BUILD.compiled:
    sys.meta_path.insert(0, _SourcesFirst())
