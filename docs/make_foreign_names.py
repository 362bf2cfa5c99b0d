"""Writes what options of other servers are here, from the rules of `gracehttp migrate`."""

from __future__ import annotations

import json
from pathlib import Path

from gracehttp.cli.migrating.servers import foreign_rules

MODULE = Path(__file__).parent.parent / "src" / "gracehttp" / "config" / "foreign_names.py"

HEAD = '''\
"""Options of other servers that are none of ours: which server has each, and what to write instead.

`docs/make_foreign_names.py` makes this module of the rules of `gracehttp migrate`. It is read only where a name is
unknown.
"""

# ruff: noqa: E501  one line for each name

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# fmt: off
FOREIGN: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
'''

TAIL = '''\
    }
)
"""By name, as a file has it, or by a flag of one letter: the server, what to write on the command line, in a file."""
'''


def module() -> str:
    """The text of the whole module."""
    rows = [
        f"        {_text(name)}: ({_text(server.name)}, {_text(rule.hint)}, {_text(rule.hint_in_file)}),\n"
        for name, (server, rule) in foreign_rules().items()
    ]
    return "".join([HEAD, *rows, TAIL])


def _text(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted if '\\"' not in quoted else repr(text)


if __name__ == "__main__":
    MODULE.write_text(module(), encoding="utf-8")
