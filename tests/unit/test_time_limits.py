"""Deadlines against hanging are one name, `deadlines.DEADLINE_SECONDS`. Numbers in their place are found here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
WAITS = {
    "communicate": 0, "join": 0, "poll": 0, "result": 0, "settimeout": 0, "timeout": 0, "wait": 0, "wait_for": 1,
    "select": 3,
}  # fmt: skip
"""What waits, and which of its arguments says for how long. All of them, and every other call, may have `timeout`."""
HARNESS = ("command", "wait", "wait_for", "wait_until")
"""What has `seconds`, in tests/process."""
SHORTEST_SECONDS = 1.0
"""What is shorter is no deadline against hanging but a look, or the time in which nothing may happen."""
INPUTS = {
    ("process/proxies.py", "create_connection"): "one of many attempts, within the deadline",
    ("process/test_no_request_is_lost.py", "wait"): "the promise names this time",
    ("process/test_tls_process.py", "deadline"): "how long a client is slow",
    ("unit/cli/test_top.py", "between"): "nobody waits: it is what a rate is divided by",
}
"""Numbers that are meant as they stand, and why."""


def numbers(source):
    """The places of `source` that wait for a time that is a number, as (line, what is called or named)."""
    for node in ast.walk(ast.parse(source)):
        for name, time in times(node):
            number = time.value if isinstance(time, ast.Constant) else None
            if type(number) in (int, float) and number >= SHORTEST_SECONDS:
                yield node.lineno, name


def times(node):
    """The times in a call that waits, in the defaults of a function, and in a sum with the clock."""
    match node:
        case ast.Call():
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            keywords = ("timeout", "seconds") if name in HARNESS else ("timeout",)
            yield from ((name, one.value) for one in node.keywords if one.arg in keywords)
            yield from ((name, one) for one in (node.args[WAITS[name] :][:1] if name in WAITS else []))
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            positional = [*node.args.posonlyargs, *node.args.args]
            defaults = [*zip(positional[::-1], node.args.defaults[::-1], strict=False)]
            defaults += zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            yield from ((node.name, value) for one, value in defaults if one.arg in ("seconds", "timeout"))
        case ast.BinOp(left=ast.Call(func=ast.Attribute(attr="monotonic")), op=ast.Add(), right=time):
            yield "deadline", time


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_no_deadline_is_a_number_of_its_own(path):
    file = str(path.relative_to(TESTS))
    found = [f"line {line}: {name}" for line, name in numbers(path.read_text()) if (file, name) not in INPUTS]
    assert not found, f"{file} waits for a number of seconds: take DEADLINE_SECONDS, of tests/unit/deadlines.py"


@pytest.mark.parametrize(
    "source",
    ["asyncio.wait_for(scenario(), 20)", "sock.settimeout(5.0)", "run(command, timeout=30)", "thread.join(10)",
     "server.wait_for('ready', seconds=90)", "asyncio.timeout(10)", "select.select([one], [], [], 5)",
     "deadline = time.monotonic() + 30", "def receive(self, seconds=30.0): ...", "def get(*, timeout=5): ..."],
)  # fmt: skip
def test_such_a_number_is_found(source):
    assert len(list(numbers(source))) == 1


@pytest.mark.parametrize(
    "source",
    ["asyncio.wait_for(scenario(), DEADLINE_SECONDS)", "sock.settimeout(0.05)", "', '.join(words)", "one.get(5)",
     "Drained(seconds=90)", "deadline = time.monotonic() + seconds", "def take(seconds=0.5, *, pieces=3): ..."],
)  # fmt: skip
def test_others_are_left_alone(source):
    assert not list(numbers(source))


def test_what_is_allowed_is_still_there():
    assert INPUTS.keys() == {
        (file, name) for file, _ in INPUTS for _, name in numbers((TESTS / file).read_text())
    }  # fmt: skip
