"""The state that one image of the supervisor leaves to the next, also across releases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gracehttp.release import RELEASE
from gracehttp.supervisor.fleet import Fleet, FleetSettings, GenerationState, TimePassed, WorkerState
from gracehttp.supervisor.fleet.probation import Probation
from gracehttp.supervisor.succession.state import FORMAT, UnreadableState, decode, encode
from gracehttp.values import descriptors_in

VECTORS = Path(__file__).parents[3] / "vectors"
RELEASES = sorted(folder.name for folder in VECTORS.iterdir() if folder.is_dir())
FULL, PROBATION, LEAST = "supervisor-state.json", "supervisor-state-probation.json", "supervisor-state-least.json"


def vector(name=FULL, release=RELEASE):
    return (VECTORS / release / name).read_bytes()


def read(data):
    return decode(data, release="test")


def includes(whole, part):
    """Whether `whole` has all that `part` has."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and includes(whole[key], part[key]) for key in part)
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(includes, whole, part))
    return whole == part


def with_fields_added(plain):
    """What a newer release might write: more fields, and everywhere."""
    if isinstance(plain, list):
        return [with_fields_added(one) for one in plain]
    if not isinstance(plain, dict):
        return plain
    added = {key: with_fields_added(one) for key, one in plain.items()}
    return added if not plain or any(key.isdecimal() for key in plain) else {**added, "added": ["something"]}


@pytest.mark.parametrize("release", RELEASES)
def test_the_state_of_each_release_so_far_is_read_in_full(release):
    state = read(vector(release=release))
    serving, draining = state.fleet.generations[8], state.fleet.generations[7]
    assert serving.state is GenerationState.SERVING
    assert serving.predecessors == {11}
    assert serving.rolled_back.generation == 9
    assert draining.workers[11].state is WorkerState.DRAINING
    assert state.processes.workers[1].early_stderr.kept.decode() == "café\n"
    assert state.processes.workers[1].channel.outgoing == ((b'{"type":"welcome"}\n', (2, 9)),)
    assert state.listeners.listeners[1].wishes[8].unix_mode == 0o660
    assert [one.admitting for one in state.listeners.listeners] == [True, False]
    assert state.metrics.pages.pages == {12: 25}
    assert dict(state.metrics.facts.counts)["worker_deaths:SIGKILL"] == 1
    assert state.addresses.metrics.address == "127.0.0.1:9090"
    assert sorted(descriptors_in(state)) == [6, *range(12, 27), 40]


@pytest.mark.parametrize("release", RELEASES)
def test_a_probation_and_templates_of_each_release_so_far_are_read_in_full(release):
    state = read(vector(PROBATION, release))
    before, serving = state.fleet.generations[7], state.fleet.generations[8]
    assert before.state is GenerationState.STANDING_BY
    assert serving.probation == Probation(began_at=1995.0, ends_at=2005.0, responses=17, errors=1)
    assert serving.settings.probation_max_errors == 0.05
    assert (serving.due_for_recycling, serving.recycling) == ([12], 12)
    assert state.fleet.generations[6].workers[10].holding
    living, coming = state.processes.templates.templates
    assert (living.generation, living.pid, living.their_end, living.channel.incoming) == (
        7,
        4713,
        None,
        b'{"type":"for',
    )
    assert (coming.generation, coming.pid, coming.their_end) == (8, 0, 32)
    assert state.processes.templates.adopting
    assert state.processes.code == {7: 33, 8: 36}
    assert [one.introduced for one in state.processes.workers] == [True, True, False, True]
    assert state.processes.workers[2].early_stderr.held == b"half a li"
    assert state.queues[3][0].sealed
    assert sorted(descriptors_in(state)) == [6, *range(12, 24), 24, *range(30, 39), 41]


@pytest.mark.parametrize("release", RELEASES)
def test_what_a_release_need_not_write_has_its_default(release):
    state = read(vector(LEAST, release))
    (worker,), (listener,) = state.processes.workers, state.listeners.listeners
    generation = state.fleet.generations[1]
    assert generation.settings == FleetSettings()
    assert (generation.due_for_recycling, generation.recycling, generation.predecessors, generation.announce_at) == (
        [],
        None,
        set(),
        None,
    )
    assert (generation.probation, generation.rolled_back, generation.deaths_in_a_row) == (None, None, 0)
    assert not generation.workers[1].holding
    assert (worker.channel.incoming, worker.channel.outgoing, worker.early_stderr.held, worker.introduced) == (
        b"",
        (),
        None,
        True,
    )
    assert (state.processes.templates, state.processes.code) == (None, {})
    assert (listener.admitting, listener.shed, listener.wishes[1].unix_mode) == (True, 0, None)
    assert not state.queues[1][0].sealed
    assert state.control.clients[0].awaits is None
    assert (state.last_outcome.generation, state.last_outcome.pids) == (0, ())


@pytest.mark.parametrize("name", [FULL, PROBATION])
def test_this_release_writes_what_its_vector_says(name):
    assert json.loads(encode(read(vector(name)))) == json.loads(vector(name))


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", [FULL, PROBATION, LEAST])
def test_nothing_that_another_release_wrote_is_lost_on_its_way_through_this_one(name, release):
    written = json.loads(encode(read(vector(name, release))))
    assert includes(written, json.loads(vector(name, release)))


@pytest.mark.parametrize("name", [FULL, PROBATION, LEAST])
def test_a_state_that_was_written_is_read_as_it_was(name):
    state = read(vector(name))
    assert read(encode(state)) == state


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", [FULL, PROBATION, LEAST])
def test_fields_that_a_newer_release_added_to_a_format_are_borne(name, release):
    newer = with_fields_added(json.loads(vector(name, release)))
    assert read(json.dumps(newer).encode()) == read(vector(name, release))


def test_a_newer_format_is_refused_with_a_sentence_that_names_both_releases():
    newer = {"format": FORMAT + 1, "release": "9.0", "what": "ever"}
    with pytest.raises(UnreadableState, match=r"gracehttp 0\.1 can't go on for .* 9\.0: .* format 2, .* format 1\."):
        decode(json.dumps(newer).encode(), release="0.1")


@pytest.mark.parametrize("data", [b"", b"[]", b"nonsense", b'{"format": "x", "release": "1"}', b"\xff"])
def test_what_is_no_state_is_refused(data):
    with pytest.raises(UnreadableState, match="finds no state of a supervisor"):
        decode(data, release="test")


def test_a_state_with_something_missing_is_refused_and_the_sentence_says_what():
    plain = json.loads(vector())
    del plain["processes"]["workers"][0]["pid"]
    with pytest.raises(UnreadableState, match=r"WorkerRecord is not complete: it lacks pid"):
        decode(json.dumps(plain).encode(), release="test")


def test_a_fleet_goes_on_with_the_deadlines_and_numbers_of_its_predecessor():
    fleet = Fleet(FleetSettings(), read(vector()).fleet)
    assert fleet.next_generation == 10
    assert fleet.next_deadline() == 2001.5
    (start,) = fleet.apply(TimePassed(), 2001.5)
    assert (start.generation, start.worker) == (8, 14)
