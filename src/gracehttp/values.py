"""Immutable values with named fields: what a frozen dataclass is, without what one costs at every start.

For each dataclass the interpreter compiles half a dozen functions when the class is made. We have about a hundred such
classes and start a process for every worker, so that would be a quarter of the time that a process takes to start
(docs/decisions/0011-values.md). The functions here serve all classes alike. They are slower to call, so this is for
what happens seldom; what is read from JSON (`gracehttp.records`) is a dataclass.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn, dataclass_transform


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
