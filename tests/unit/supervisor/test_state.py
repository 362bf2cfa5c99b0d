"""The state that one image of the supervisor leaves to the next, also across releases."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from gracehttp.channel import ChannelRecord
from gracehttp.records import Descriptor, descriptors_in
from gracehttp.supervisor.fleet import Fleet, FleetSettings, GenerationState, TimePassed, WorkerState
from gracehttp.supervisor.state import FORMAT, FORMATS_READ, UnreadableState, decode, encode
from gracehttp.supervisor.templates import TemplateRecord, TemplatesRecord

VECTORS = Path(__file__).parents[2] / "vectors"


def vector(number):
    return (VECTORS / f"supervisor-state-{number}.json").read_bytes()


def includes(whole, part):
    """Whether `whole` has all that `part` has."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and includes(whole[key], part[key]) for key in part)
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(includes, whole, part))
    return whole == part


@pytest.mark.parametrize("number", FORMATS_READ)
def test_the_state_of_each_release_so_far_is_read_in_full(number):
    state = decode(vector(number), release="test")
    serving, draining = state.fleet.generations[8], state.fleet.generations[7]
    assert serving.state is GenerationState.SERVING
    assert serving.predecessors == {11}
    assert draining.workers[11].state is WorkerState.DRAINING
    assert state.crew.workers[1].last_words.kept.decode() == "café\n"
    assert state.crew.workers[1].channel.outgoing == [(b'{"type":"welcome"}\n', [2, 9])]
    assert state.listeners.listeners[1].wishes[8].unix_mode == 0o660
    assert [one.door_open for one in state.listeners.listeners] == [True, False]
    assert sorted(descriptors_in(state)) == [6, *range(12, 25)]


def test_what_this_release_writes_has_all_that_the_vector_of_its_format_has():
    written = json.loads(encode(decode(vector(FORMAT), release="test")))
    assert includes(written, json.loads(vector(FORMAT)))


def test_a_state_that_was_written_is_read_as_it_was():
    state = decode(vector(FORMAT), release="test")
    assert decode(encode(state), release="test") == state


def test_a_newer_format_is_refused_with_a_sentence_that_names_both_releases():
    newer = {"format": FORMAT + 1, "release": "9.0", "what": "ever"}
    with pytest.raises(UnreadableState, match=r"gracehttp 0\.1 can't go on for .* 9\.0: .* format 2, .* format 1\."):
        decode(json.dumps(newer).encode(), release="0.1")


def test_fields_that_a_newer_release_added_to_a_format_are_borne():
    newer = json.loads(vector(FORMAT))
    newer["added"] = newer["fleet"]["added"] = newer["crew"]["workers"][0]["added"] = ["something"]
    assert decode(json.dumps(newer).encode(), release="test") == decode(vector(FORMAT), release="test")


@pytest.mark.parametrize("data", [b"", b"[]", b"nonsense", b'{"format": "x", "release": "1"}', b"\xff"])
def test_what_is_no_state_is_refused(data):
    with pytest.raises(UnreadableState, match="finds no state of a supervisor"):
        decode(data, release="test")


def test_a_state_with_something_missing_is_refused_and_the_sentence_says_what():
    plain = json.loads(vector(FORMAT))
    del plain["crew"]["workers"][0]["pid"]
    with pytest.raises(UnreadableState, match=r"WorkerRecord is not complete .*pid"):
        decode(json.dumps(plain).encode(), release="test")


def test_a_fleet_goes_on_with_the_deadlines_and_numbers_of_its_predecessor():
    fleet = Fleet(FleetSettings(), decode(vector(FORMAT), release="test").fleet)
    assert fleet.next_generation == 9
    assert fleet.next_deadline() == 2001.5
    (start,) = fleet.apply(TimePassed(), 2001.5)
    assert (start.generation, start.worker) == (8, 14)


def test_a_state_of_a_release_without_templates_has_none():
    state = decode(vector(FORMAT), release="test")
    assert state.crew.templates is None
    assert state.crew.code == {}


def test_templates_and_the_records_of_code_go_along():
    state = decode(vector(FORMAT), release="test")
    channel = ChannelRecord(socket=Descriptor(30), incoming=b'{"type":"for')
    living = TemplateRecord(generation=8, pid=4713, channel=channel, their_end=None)
    coming = TemplateRecord(generation=9, pid=0, channel=ChannelRecord(socket=Descriptor(31)), their_end=Descriptor(32))
    templates = TemplatesRecord(templates=[living, coming], had=[7, 8, 9], adopting=True)
    crew = dataclasses.replace(state.crew, templates=templates, code={8: Descriptor(33)})
    state = dataclasses.replace(state, crew=crew)
    assert decode(encode(state), release="test") == state
    assert {30, 31, 32, 33} <= set(descriptors_in(state))
