"""A class that is compiled has the attributes that its `.pxd` declares, and no other. One that is forgotten there is
told here by name; compiled, it would be an AttributeError in the middle of a request."""

import ast
import re
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"
TYPES = sorted(path for path in SOURCES.glob("**/*.pxd") if "cdef class" in path.read_text(encoding="utf-8"))

_CLASS = re.compile(r"^cdef class (\w+)(?:\((\w+)\))?:$")
_ATTRIBUTE = re.compile(r"^    cdef (?:(?:public|readonly) )?[^()]+ (\w+)$")


def declared(text: str) -> dict[str, tuple[str | None, set[str]]]:
    """Of each class in a `.pxd`: its base and its attributes."""
    found: dict[str, tuple[str | None, set[str]]] = {}
    attributes: set[str] = set()
    for line in text.splitlines():
        if match := _CLASS.match(line):
            attributes = set()
            found[match[1]] = match[2], attributes
        elif match := _ATTRIBUTE.match(line):
            attributes.add(match[1])
    return found


def used(source: str) -> dict[str, set[str]]:
    """Of each class in a `.py`: what its `__slots__` name, and what its methods assign to `self`."""
    found: dict[str, set[str]] = {}
    for one in ast.parse(source).body:
        if not isinstance(one, ast.ClassDef):
            continue
        names: set[str] = set()
        for node in ast.walk(one):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                if ast.unparse(node.value) == "self":
                    names.add(node.attr)
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__slots__":
                slots = ast.literal_eval(node.value)
                names.update({slots} if isinstance(slots, str) else slots)
        found[one.name] = names
    return found


def all_declared() -> dict[str, tuple[str | None, set[str]]]:
    """Of all files: a class can derive from one of another file. No two have the same name."""
    return {name: one for path in TYPES for name, one in declared(path.read_text(encoding="utf-8")).items()}


def missing(name: str, names: set[str], classes: dict[str, tuple[str | None, set[str]]]) -> set[str]:
    at: str | None = name
    while at is not None:
        at, attributes = classes[at]
        names = names - attributes
    return names


@pytest.mark.parametrize("types", TYPES, ids=lambda path: path.relative_to(SOURCES / "gracehttp").as_posix())
def test_each_attribute_is_declared(types: Path) -> None:
    classes = all_declared()
    in_source = used(types.with_suffix(".py").read_text(encoding="utf-8"))
    for name in declared(types.read_text(encoding="utf-8")):
        assert missing(name, in_source[name] - {"__weakref__"}, classes) == set(), f"{name} in {types.name} lacks these"


def test_a_forgotten_attribute_is_found() -> None:
    classes = declared(
        "cdef class A:\n    cdef readonly int a\n\n\ncdef class B(A):\n    cdef list b\n    cpdef go(self)\n"
    )
    source = (
        "class A:\n    __slots__ = ('a',)\n\n"
        "class B(A):\n    __slots__ = ('b', 'd')\n    def go(self):\n        self.a = self.b = self.c = 1\n"
    )
    assert missing("A", used(source)["A"], classes) == set()
    assert missing("B", used(source)["B"], classes) == {"c", "d"}
