"""The steps from state to state: those in the tables are possible, all others are refused, and each one is needed."""

from __future__ import annotations

import ast
import itertools
import sys
from pathlib import Path

import pytest
from test_fleet_hangs import fleet_with_a_hang
from test_fleet_hangs import replace as hang
from test_fleet_probation import on_probation, restart
from test_fleet_product import INPUTS, NOW, fleet_of, fleets

from gracehttp.supervisor import fleet as package
from gracehttp.supervisor.fleet import FleetSettings, Generation, GenerationState, Worker, WorkerState
from gracehttp.supervisor.fleet import generation as generation_module
from gracehttp.supervisor.fleet import worker as worker_module
from gracehttp.supervisor.fleet.states import GENERATION_STEPS, WORKER_STEPS, ForbiddenStep, step

GENERATIONS = """
    starting    -> completing abandoned
    completing  -> serving abandoned
    serving     -> standing_by draining
    standing_by -> serving standing_by draining
    draining    ->
    abandoned   ->
"""
WORKERS = """
    starting    -> standing_by dumping killed
    standing_by -> serving standing_by draining killed
    serving     -> standing_by draining dumping killed
    draining    -> draining killed
    dumping     -> killed
    killed      ->
"""


def drawn(drawing, kind):
    """The steps of a drawing, as pairs."""
    lines = (line.split("->") for line in drawing.split("\n") if line.strip())
    return {(kind(before.strip()), kind(after)) for before, those in lines for after in those.split()}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(GenerationState, GenerationState)))
def test_a_generation_becomes_what_its_state_allows_and_nothing_else(before, after):
    generation = Generation(1, before, FleetSettings(), wanted=1)
    if (before, after) in drawn(GENERATIONS, GenerationState):
        generation.become(after)
        assert generation.state is after
    else:
        with pytest.raises(ForbiddenStep, match=rf"{before} can't become {after}"):
            generation.become(after)
        assert generation.state is before


@pytest.mark.parametrize(("before", "after"), list(itertools.product(WorkerState, WorkerState)))
def test_a_worker_becomes_what_its_state_allows_and_nothing_else(before, after):
    worker = Worker(1, before, started_at=0.0, deadline=5.0)
    if (before, after) in drawn(WORKERS, WorkerState):
        worker.become(after, 7.0)
        assert (worker.state, worker.deadline) == (after, 7.0)
    else:
        with pytest.raises(ForbiddenStep, match=rf"{before} can't become {after}"):
            worker.become(after, 7.0)
        assert (worker.state, worker.deadline) == (before, 5.0)


def test_each_step_is_taken_when_something_happens(monkeypatch):
    """A step that nothing needs would only allow a mistake."""
    taken = set()

    def taking(steps, before, after):
        taken.add((before, after))
        return step(steps, before, after)

    monkeypatch.setattr(generation_module, "step", taking)
    monkeypatch.setattr(worker_module, "step", taking)
    for first, pair, other, stopping, due in fleets():
        for happened in INPUTS.values():
            fleet_of(first, pair, other, stopping=stopping, due=due).apply(happened, NOW)
    hang(fleet_with_a_hang(), now=40.0)  # that takes a successor
    restart(on_probation(), now=3.0)  # one generation goes on standing by: that takes a third one
    tables = (GENERATION_STEPS, WORKER_STEPS)
    assert taken == {(before, after) for steps in tables for before, those in steps.items() for after in those}


def sources():
    return [(path, ast.parse(path.read_text())) for path in Path(package.__file__).parent.glob("*.py")]


def test_states_are_assigned_by_become_alone():
    assigning = [
        (path.name, function.name)
        for path, tree in sources()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr == "state"
    ]
    assert sorted(assigning) == [("generation.py", "become"), ("worker.py", "become")]


def test_the_fleet_imports_nothing_that_acts():
    imported = set()
    for _, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module)
            elif isinstance(node, ast.Import):
                imported.update(one.name for one in node.names)
    ours = {one for one in imported if one.partition(".")[0] not in sys.stdlib_module_names}
    assert imported - ours <= {"__future__", "collections.abc", "dataclasses", "enum", "types", "typing"}
    pure = ("gracehttp.values", "gracehttp.wire.messages", "gracehttp.supervisor.fleet")
    assert all(one.startswith(pure) for one in ours), ours
