"""Dataclasses as plain JSON values and back, by their annotations.

For state that another release may read. It may know fewer fields, or more: a key that it doesn't know is passed over,
and a field that isn't there has its default. A field without a default must be there.
"""

from __future__ import annotations

import enum
import json
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

_T = TypeVar("_T")


class Descriptor(int):
    """The number of an open file that goes with a record."""


class UnreadableRecord(ValueError):
    """The value is not what the annotation says."""


def parse_json(text: bytes | str) -> Any:
    """What `json.loads` makes of it. Raises `ValueError`, also for what is nested deeper than the interpreter bears."""
    try:
        return json.loads(text)
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc


def to_plain(value: object) -> Any:
    """`value` as `json.dumps` takes it. Its annotations must be of the kinds that `from_plain` knows."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, bytes):
        return value.decode("latin-1")  # each byte is one character, and all of them are JSON
    if isinstance(value, dict):
        return {str(key): to_plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(one) for one in value]
    if isinstance(value, (set, frozenset)):
        return sorted(to_plain(one) for one in value)
    if is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    return value


def from_plain(kind: type[_T], plain: Any) -> _T:
    """The value of type `kind` that `to_plain` made `plain` of. Raises `UnreadableRecord`."""
    result: _T = _read(kind, plain)
    return result


def descriptors_in(value: object) -> Iterator[Descriptor]:
    """All descriptors in a record, however deep."""
    if isinstance(value, Descriptor):
        yield value
    elif isinstance(value, dict):
        yield from (found for one in value.values() for found in descriptors_in(one))
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from (found for one in value for found in descriptors_in(one))
    elif is_dataclass(value):
        yield from (found for field in fields(value) for found in descriptors_in(getattr(value, field.name)))


def _read(kind: Any, plain: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        return _read_optional(kind, arguments, plain)
    if origin is dict:
        key, value = arguments
        return {key(one): _read(value, two) for one, two in _expect(dict, plain).items()}
    if origin is tuple and arguments[-1] is not Ellipsis:
        if len(_expect(list, plain)) != len(arguments):
            raise UnreadableRecord(f"{len(arguments)} values are expected, there are {len(plain)}")
        return tuple(_read(one, two) for one, two in zip(arguments, plain, strict=True))
    if origin in {list, set, tuple}:
        return origin(_read(arguments[0], one) for one in _expect(list, plain))
    if is_dataclass(kind):
        return _read_dataclass(kind, _expect(dict, plain))
    return _read_scalar(kind, plain)


def _read_optional(kind: Any, arguments: tuple[Any, ...], plain: Any) -> Any:
    choices = [one for one in arguments if one is not type(None)]
    if plain is None and len(choices) < len(arguments):
        return None
    if len(choices) != 1:
        raise UnreadableRecord(f"{kind} is no kind of record")
    return _read(choices[0], plain)


def _read_dataclass(kind: Any, plain: Mapping[str, Any]) -> Any:
    hints = get_type_hints(kind)
    try:
        return kind(**{
            field.name: _read(hints[field.name], plain[field.name]) for field in fields(kind) if field.name in plain
        })  # fmt: skip
    except UnreadableRecord as exc:
        raise UnreadableRecord(f"{kind.__name__}: {exc}") from exc
    except TypeError as exc:
        raise UnreadableRecord(f"{kind.__name__} is not complete ({exc})") from exc


def _read_scalar(kind: Any, plain: Any) -> Any:
    if issubclass(kind, enum.Enum):
        try:
            return kind(plain)
        except ValueError as exc:
            raise UnreadableRecord(str(exc)) from exc
    if kind is bytes:
        return str(_expect(str, plain)).encode("latin-1")
    if kind is Descriptor:
        return Descriptor(_expect(int, plain))
    if kind is float:
        return float(_expect((int, float), plain))
    return _expect(kind, plain)


def _expect(kind: Any, plain: Any) -> Any:
    if not isinstance(plain, kind) or (isinstance(plain, bool) and kind is not bool):
        raise UnreadableRecord(f"{plain!r} is not a value of {kind}")
    return plain
