"""Immutable values with named fields, and how they and other state cross to another process."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from gracehttp.values import Descriptor, UnreadableValue, Value, descriptors_in, from_plain, to_plain


class Fruit(Value):
    name: str
    grams: int = 100
    family: ClassVar[str] = "roses"
    sweet = True


class Apple(Fruit):
    name: str = "apple"
    sort: str = "boskoop"


class Stone(Value):
    name: str
    grams: int = 100


def test_fields_are_given_in_order_or_by_name_and_may_have_defaults():
    assert Fruit("pear", 120) == Fruit(grams=120, name="pear")
    assert Fruit("pear").grams == 100
    assert Fruit("pear", grams=7).fields() == {"name": "pear", "grams": 7}
    assert Apple().fields() == {"name": "apple", "grams": 100, "sort": "boskoop"}


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), (("pear", 1, 2), {}), (("pear",), {"name": "plum"}), (("pear",), {"sweet": False})],
    ids=["one is missing", "one too many", "one twice", "no field"],
)
def test_other_arguments_are_refused(args, kwargs):
    with pytest.raises(TypeError, match=r"^Fruit"):
        Fruit(*args, **kwargs)


def test_values_are_equal_if_kind_and_fields_are():
    assert Fruit("pear") != Fruit("plum")
    assert Fruit("x") != Stone("x")
    assert Fruit("apple") != Apple()
    assert {Fruit("pear"), Fruit("pear"), Stone("pear")} == {Stone("pear"), Fruit("pear")}


def test_a_value_can_not_be_changed():
    pear = Fruit("pear")
    with pytest.raises(AttributeError):
        pear.grams = 5
    with pytest.raises(AttributeError):
        del pear.name
    assert pear == Fruit("pear")


def test_a_value_shows_its_fields_and_is_matched_by_them():
    assert repr(Fruit("pear")) == "Fruit(name='pear', grams=100)"
    match Apple("quince"):
        case Stone():
            raise AssertionError("it is no stone")
        case Fruit(name, 100):
            assert name == "quince"


# --- as plain values and back, also from other releases ---


class Color(enum.Enum):
    RED = "red"


class Inner(Value):
    fd: Descriptor
    data: bytes = b""


class Outer(Value):
    color: Color
    maybe: float | None
    by_number: Mapping[int, Inner]
    numbers: frozenset[int] = frozenset()
    pairs: tuple[tuple[bytes, tuple[int, ...]], ...] = ()
    identity: tuple[int, int] | None = None
    flag: bool = False
    place: str | bool | None = None


@dataclass(slots=True)
class State:
    """What changes is a dataclass."""

    color: Color
    values: dict[int, Inner] = field(default_factory=dict)
    numbers: set[int] = field(default_factory=set)


WHOLE = Outer(
    color=Color.RED,
    maybe=1.5,
    by_number={7: Inner(fd=Descriptor(3), data=bytes(range(256)))},
    numbers=frozenset({2, 1}),
    pairs=((b"\xff", (4, 5)),),
    identity=(1, 2),
    flag=True,
)


@pytest.mark.parametrize(
    "value",
    [
        WHOLE,
        Outer(Color.RED, None, {}),
        Outer(Color.RED, None, {}, place=False),
        Outer(Color.RED, None, {}, place="/x"),
    ],
    ids=["whole", "defaults", "one of several kinds", "another of them"],
)
def test_what_was_written_as_json_is_read_as_it_was(value):
    assert from_plain(Outer, json.loads(json.dumps(to_plain(value)))) == value


def test_descriptors_are_found_however_deep_and_plain_numbers_are_not():
    assert list(descriptors_in([WHOLE, {"x": (Descriptor(8),)}])) == [3, 8]


def test_descriptors_are_still_descriptors_when_read():
    assert list(descriptors_in(from_plain(Outer, to_plain(WHOLE)))) == [3]


def test_a_field_that_a_newer_release_wrote_is_passed_over():
    plain = {**to_plain(WHOLE), "from_the_future": {"a": [1]}}
    assert from_plain(Outer, plain) == WHOLE


def test_a_field_that_an_older_release_did_not_write_has_its_default():
    plain = to_plain(WHOLE)
    del plain["flag"]
    assert from_plain(Outer, plain).flag is False


def test_a_field_without_default_must_be_there():
    with pytest.raises(UnreadableValue, match="Inner is not complete: it lacks fd"):
        from_plain(Inner, {"data": ""})


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        (int, "1"),
        (int, True),
        (float, None),
        (bool, 1),
        (Color, "blue"),
        (Descriptor, "3"),
        (bytes, 3),
        (list[int], {"0": 1}),
        (dict[int, int], [1]),
        (tuple[int, int], [1, 2, 3]),
        (Inner, [3]),
        (str | bool, 3),
        (bytes, "\u0100"),
        (dict[int, int], {"x": 1}),
    ],
)
def test_what_is_no_value_of_its_annotation_is_refused(kind, plain):
    with pytest.raises(UnreadableValue):
        from_plain(kind, plain)


def test_what_changes_is_written_and_read_in_the_same_way():
    state = State(Color.RED, {1: Inner(fd=Descriptor(3))}, {5})
    assert from_plain(State, json.loads(json.dumps(to_plain(state)))) == state
    assert list(descriptors_in(state)) == [3]
    with pytest.raises(UnreadableValue, match="State is not complete: it lacks color"):
        from_plain(State, {})


def test_descriptors_that_go_along_are_written_as_their_places_and_read_from_there():
    numbers = []
    plain = to_plain([Inner(fd=Descriptor(30)), Inner(fd=Descriptor(40))], numbers)
    assert (plain[0]["fd"], plain[1]["fd"], numbers) == (0, 1, [30, 40])
    came = {0: 50, 1: 60, 2: 70}
    assert from_plain(list[Inner], plain, came) == [Inner(fd=Descriptor(50)), Inner(fd=Descriptor(60))]
    assert came == {2: 70}


@pytest.mark.parametrize("place", [1, -1], ids=["too many", "negative"])
def test_a_descriptor_that_did_not_come_is_no_descriptor(place):
    with pytest.raises(UnreadableValue, match="no descriptor came at place"):
        from_plain(Inner, {"fd": place}, {0: 50})


def test_a_descriptor_belongs_to_one_field_only():
    with pytest.raises(UnreadableValue, match="no descriptor came at place 0"):
        from_plain(list[Inner], [{"fd": 0}, {"fd": 0}], {0: 50})
