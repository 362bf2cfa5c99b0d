"""Records: dataclasses as plain values and back, also from other releases."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field

import pytest

from gracehttp.records import Descriptor, UnreadableRecord, descriptors_in, from_plain, parse_json, to_plain


class Color(enum.Enum):
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    fd: Descriptor
    data: bytes = b""


@dataclass(slots=True)
class Outer:
    color: Color
    maybe: float | None
    by_number: dict[int, Inner]
    numbers: set[int] = field(default_factory=set)
    pairs: list[tuple[bytes, list[int]]] = field(default_factory=list)
    identity: tuple[int, int] | None = None
    flag: bool = False


WHOLE = Outer(
    color=Color.RED,
    maybe=1.5,
    by_number={7: Inner(fd=Descriptor(3), data=bytes(range(256)))},
    numbers={2, 1},
    pairs=[(b"\xff", [4, 5])],
    identity=(1, 2),
    flag=True,
)


@pytest.mark.parametrize("value", [WHOLE, Outer(Color.RED, None, {})], ids=["whole", "defaults"])
def test_what_was_written_as_json_is_read_as_it_was(value):
    assert from_plain(Outer, json.loads(json.dumps(to_plain(value)))) == value


@pytest.mark.parametrize("text", [b"nonsense", b"[" * 60_000], ids=["nonsense", "nested"])
def test_what_no_interpreter_can_read_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"nested|Expecting"):
        parse_json(text)


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
    with pytest.raises(UnreadableRecord, match="Inner is not complete"):
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
    ],
)
def test_what_is_no_value_of_its_annotation_is_refused(kind, plain):
    with pytest.raises(UnreadableRecord):
        from_plain(kind, plain)
