"""Which types a value has at each place in it: what a test compares between the builds, and an application writes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def type_paths(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Each place in `value`, under the name `path`, and the name of its type. Members of a list share a place."""
    yield path, type(value).__name__
    fields = getattr(value, "fields", None)
    if callable(fields):  # an event
        value = fields()
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield f"{path}{{}}", type(name).__name__
            yield from type_paths(part, f"{path}.{name}")
    elif isinstance(value, (list, tuple)):
        for at, part in enumerate(value):
            yield from type_paths(part, f"{path}[{at if isinstance(value, tuple) else ''}]")


def note(file: str, name: str, value: Any) -> None:
    """Append the types in `value` to `file`."""
    lines = "".join(json.dumps(pair) + "\n" for pair in dict.fromkeys(type_paths(value, name)))
    with open(file, "a", encoding="utf-8") as out:
        out.write(lines)
