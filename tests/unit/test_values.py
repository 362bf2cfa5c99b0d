"""Immutable values with named fields."""

from __future__ import annotations

from typing import ClassVar

import pytest

from gracehttp.values import Value


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
