"""Immutable values with named fields: like a frozen dataclass, but cheap to define, and readable from JSON.

The interpreter compiles half a dozen functions for each dataclass. This project has about 150 such classes and starts
a process for every worker, so that would be a large part of the time in which a process starts
(docs/decisions/0011-values.md). The functions here serve all classes alike. Making a value is slower, so what is made
for each request or connection is none.

`to_plain` and `from_plain` write and read a value by its annotations, for what crosses to another process. That may run
another release, which knows fewer fields, or more: a key that isn't known is passed over, and a field that isn't there
has its default. A field without a default must be there. Both functions read and write dataclasses too, which is what
objects that change are.
"""

from __future__ import annotations

import enum
import functools
import types
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import MISSING
from typing import (
    Any,
    ClassVar,
    NoReturn,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True)
class Value:
    """Subclasses annotate their fields, in the order of the arguments; what a field is assigned is its default."""

    _names: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        annotated = (name for name, kind in cls.__annotations__.items() if "ClassVar" not in str(kind))
        cls._names = tuple(dict.fromkeys((*cls._names, *annotated)))  # those of the base class first
        type.__setattr__(cls, "__match_args__", cls._names)  # a type checker knows them by itself, as a constant

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        fields = dict(zip(self._names, args, strict=False)) | kwargs
        if len(fields) < len(args) + len(kwargs) or not fields.keys() <= set(self._names):
            raise TypeError(f"{type(self).__name__} has the fields {self._names}: got {args} and {kwargs}")
        if missing := [name for name in self._names if name not in fields and not hasattr(type(self), name)]:
            raise TypeError(f"{type(self).__name__} lacks {', '.join(missing)}: got {args} and {kwargs}")
        self.__dict__.update(fields)

    def fields(self) -> dict[str, Any]:
        """The names and values, in order."""
        return {name: getattr(self, name) for name in self._names}

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} can't be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} can't be changed")

    def __eq__(self, other: object) -> bool:
        return self.fields() == other.fields() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *self.fields().values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.fields().items())})"


class Descriptor(int):
    """The number of an open file that goes with a value to another process."""


EMPTY: Mapping[Any, Any] = types.MappingProxyType({})
"""The default of a field that is a mapping."""


class UnreadableValue(ValueError):
    """The plain value is not what the annotation says."""


def to_plain(value: object, descriptors: list[int] | None = None) -> Any:
    """`value` as `json.dumps` takes it. Its annotations must be of the kinds that `from_plain` knows.

    With `descriptors`, each `Descriptor` is appended to that list and written as its place there; otherwise it is
    written as its number.
    """
    if isinstance(value, Descriptor) and descriptors is not None:
        descriptors.append(int(value))
        return len(descriptors) - 1
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, bytes):
        return value.decode("latin-1")  # each byte is one character, and all of them are JSON
    if isinstance(value, Mapping):
        return {str(key): to_plain(one, descriptors) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(one, descriptors) for one in value]
    if isinstance(value, (set, frozenset)):
        return sorted(to_plain(one, descriptors) for one in value)
    if names := _field_names(type(value)):
        return {name: to_plain(getattr(value, name), descriptors) for name in names}
    return {} if isinstance(value, Value) else value


def from_plain(kind: type[_T], plain: Any, descriptors: MutableMapping[int, int] | None = None) -> _T:
    """The value of type `kind` that `to_plain` made `plain` of. Raises `UnreadableValue`.

    With `descriptors`, which maps places to numbers, those that the value has are taken out of that mapping.
    """
    result: _T = _Reader(descriptors).read(kind, plain)
    return result


def descriptors_in(value: object) -> Iterator[Descriptor]:
    """All descriptors in a value, however deep."""
    if isinstance(value, Descriptor):
        yield value
    elif isinstance(value, Mapping):
        yield from (found for one in value.values() for found in descriptors_in(one))
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from (found for one in value for found in descriptors_in(one))
    else:
        yield from (found for name in _field_names(type(value)) for found in descriptors_in(getattr(value, name)))


def _field_names(kind: Any) -> tuple[str, ...]:
    """The names of the fields of a value or a dataclass; none for anything else."""
    if issubclass(kind, Value):
        names: tuple[str, ...] = kind._names
        return names
    return tuple(getattr(kind, "__dataclass_fields__", ()))


_annotations = functools.cache(get_type_hints)


@functools.cache
def _required(kind: Any) -> frozenset[str]:
    """The names of the fields that have no default."""
    if issubclass(kind, Value):
        return frozenset(name for name in kind._names if not hasattr(kind, name))
    fields = kind.__dataclass_fields__.values()
    return frozenset(one.name for one in fields if one.default is MISSING and one.default_factory is MISSING)


class _Reader:
    """Reads plain values, one kind of annotation per method."""

    def __init__(self, descriptors: MutableMapping[int, int] | None) -> None:
        self._descriptors = descriptors

    def read(self, kind: Any, plain: Any) -> Any:
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in {Union, types.UnionType}:
            return self._read_union(arguments, plain)
        if origin in {dict, Mapping}:
            key, value = arguments
            return {_key(key, one): self.read(value, two) for one, two in _expect(dict, plain).items()}
        if origin is tuple and arguments[-1] is not Ellipsis:
            if len(_expect(list, plain)) != len(arguments):
                raise UnreadableValue(f"{len(arguments)} values are expected, there are {len(plain)}")
            return tuple(self.read(one, two) for one, two in zip(arguments, plain, strict=True))
        if origin in {list, set, frozenset, tuple}:
            return origin(self.read(arguments[0], one) for one in _expect(list, plain))
        if _is_record(kind):
            return self._read_fields(kind, _expect(dict, plain))
        return self._read_scalar(kind, plain)

    def _read_union(self, kinds: tuple[Any, ...], plain: Any) -> Any:
        if plain is None and type(None) in kinds:
            return None
        *others, last = (kind for kind in kinds if kind is not type(None))
        for kind in others:
            try:
                return self.read(kind, plain)
            except UnreadableValue:
                continue
        return self.read(last, plain)

    def _read_fields(self, kind: Any, plain: Mapping[str, Any]) -> Any:
        kinds = _annotations(kind)
        try:
            found = {name: self.read(kinds[name], plain[name]) for name in _field_names(kind) if name in plain}
        except UnreadableValue as exc:
            raise UnreadableValue(f"{kind.__name__}: {exc}") from exc
        missing = _required(kind) - found.keys()
        if missing:
            raise UnreadableValue(f"{kind.__name__} is not complete: it lacks {', '.join(sorted(missing))}")
        return kind(**found)

    def _read_scalar(self, kind: Any, plain: Any) -> Any:
        if issubclass(kind, enum.Enum):
            try:
                return kind(plain)
            except ValueError as exc:
                raise UnreadableValue(str(exc)) from exc
        if kind is bytes:
            return _bytes(_expect(str, plain))
        if kind is Descriptor:
            return self._read_descriptor(_expect(int, plain))
        if kind is float:
            return float(_expect((int, float), plain))
        return _expect(kind, plain)

    def _read_descriptor(self, number: int) -> Descriptor:
        if self._descriptors is None:
            return Descriptor(number)
        try:
            return Descriptor(self._descriptors.pop(number))
        except KeyError as exc:
            raise UnreadableValue(f"no descriptor came at place {number}") from exc


def _is_record(kind: Any) -> bool:
    return issubclass(kind, Value) or hasattr(kind, "__dataclass_fields__")


def _key(kind: Any, text: str) -> Any:
    try:
        return kind(text)
    except ValueError as exc:
        raise UnreadableValue(str(exc)) from exc


def _bytes(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as exc:
        raise UnreadableValue(f"{text!r} is not a value of {bytes}") from exc


def _expect(kind: Any, plain: Any) -> Any:
    if not isinstance(plain, kind) or (isinstance(plain, bool) and kind is not bool):
        raise UnreadableValue(f"{plain!r} is not a value of {kind}")
    return plain
