"""What processes say to each other: read as it was written, by any release, and refused if something is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gracehttp.release import RELEASE
from gracehttp.values import Descriptor, UnreadableValue, descriptors_in
from gracehttp.wire import messages
from gracehttp.wire.messages import TYPES, DrainReason, FleetSettings, Hello, ListenRequest

VECTORS = Path(__file__).parents[2] / "vectors"
RELEASES = sorted(folder.name for folder in VECTORS.iterdir() if folder.is_dir())
EVERY_VECTOR = [
    pytest.param(json.loads(line), id=f"{release} {name} {json.loads(line)['type']}")
    for release in RELEASES
    for name in ("supervisor-says.jsonl", "worker-says.jsonl", "worker-says-least.jsonl")
    for line in (VECTORS / release / name).read_text().splitlines()
]
FIRST_DESCRIPTOR = 100
HELLO = {
    "type": "hello",
    "versions": [2],
    "settings": {"workers": 2, "ready_timeout_seconds": 60, "drain_timeout_seconds": 0.5, "of_a_later_release": 1},
    "listeners": [{"address": ":80", "backlog": 5, "max_connections": 7, "unix_mode": None, "also_later": 2}],
}


def came(count):
    """Descriptors that came with a message, by their places."""
    return {place: FIRST_DESCRIPTOR + place for place in range(count)}


@pytest.mark.parametrize("line", EVERY_VECTOR)
def test_what_each_release_so_far_says_is_read_and_all_its_descriptors_are_taken(line):
    left = came(line.get("descriptors", 0))
    message = messages.read({**line, "added": ["something"]}, left)
    assert message.type == line["type"]
    assert left == {}
    assert len(list(descriptors_in(message))) == line.get("descriptors", 0)


@pytest.mark.parametrize("line", [one for one in EVERY_VECTOR if RELEASE in one.id and "least" not in one.id])
def test_this_release_writes_what_its_vectors_say(line):
    descriptors = []
    written = messages.write(messages.read(line, came(line["descriptors"])), descriptors)
    assert {**written, "descriptors": len(descriptors)} == line
    assert descriptors == list(came(line["descriptors"]).values())


def test_the_vectors_of_this_release_have_every_message():
    lines = (one.values[0]["type"] for one in EVERY_VECTOR if RELEASE in one.id)
    assert set(lines) == set(TYPES)


def test_a_message_of_an_unknown_type_is_passed_over_and_its_descriptors_are_left():
    left = came(1)
    assert messages.read({"type": "of_a_later_release", "thing": 0}, left) is None
    assert left == came(1)


def test_a_hello_is_read_with_the_types_of_its_parts():
    hello = messages.read(HELLO, {})
    assert hello == Hello(
        versions=(2,),
        settings=FleetSettings(workers=2, ready_timeout_seconds=60.0, drain_timeout_seconds=0.5),
        listeners=(ListenRequest(":80", backlog=5, max_connections=7),),
    )


def test_why_a_worker_drains_is_one_of_two():
    drain = messages.read({"type": "drain", "reason": "stop", "timeout_seconds": 2}, {})
    assert drain.reason is DrainReason.STOP
    with pytest.raises(UnreadableValue, match="Drain"):
        messages.read({"type": "drain", "reason": "boredom", "timeout_seconds": 2}, {})


@pytest.mark.parametrize(
    "message",
    [
        {"type": 5},
        {},
        {"type": "hello"},
        {**HELLO, "versions": "1"},
        {**HELLO, "settings": {"workers": "two"}},
        {**HELLO, "listeners": [{"address": ":80"}]},
        {"type": "failed", "message": "no"},
        {"type": "stage_began"},
        {"type": "shed", "listener": 1, "connections": None},
        {"type": "code_recorded"},
        {"type": "code_recorded", "record": 1},
        {"type": "fork", "worker": 1, "channel": 0, "stderr": 0},
    ],
    ids=str,
)
def test_what_no_process_says(message):
    with pytest.raises(UnreadableValue):
        messages.read(message, {0: 7})


def test_a_descriptor_is_written_as_its_place():
    descriptors = []
    plain = messages.write(messages.Fork(1, channel=Descriptor(30), stderr=Descriptor(40)), descriptors)
    assert (plain["channel"], plain["stderr"], descriptors) == (0, 1, [30, 40])
