"""What a scene may do to a service, told from its log and from the accounts of its clients. Pure.

Permitted are: nothing that a client notices; connections lost that the log tells of; a process that ended, which the
log tells of too, with the connections that it had. All else is a complaint.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from blame import Death, culprits

READ_EARLY_SECONDS = 3.0
"""How much sooner than the supervisor tells it a client may see the end of a worker."""

_STAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) (\w+) +\[\d+\] (.*)")
_ENDED = re.compile(r"worker (\d+) of generation (\d+) (?:ended with|was killed|failed|could not be|had no process)")
_TEMPLATE_ENDED = re.compile(r"the template of generation \d+ (?:ended|was killed|failed)")
_LOST = (
    re.compile(r"(a|\d+) connections? (?:was|were) lost\b"),
    re.compile(r"closed (a) (?:new )?connection\b"),
    re.compile(r"(a|\d+) connections? (?:was|were) (?:closed|cut)\b"),
)
_DEFECTS = (
    "Exception in callback",
    "never retrieved",
    "the supervisor failed to",
    "Exception ignored",
    "Fatal error on",
)
_OF_THE_INTERPRETER = ("_read_from_self",)
"""Callbacks of asyncio that tell of an error with a traceback, and lose nothing: the byte is read in the next turn."""
_FORCED = re.compile(r"is ended by force: (?!its generation was (retired|given up))|(were|was) cut:|is not ready after")
_WRONG = ("wrong answer", "nobody asked for")


@dataclass(frozen=True)
class Line:
    """One record of the log. `at` is of `time.time`."""

    at: float
    level: str
    text: str


def records(log):
    """The records of a log in text; further lines of one are left out."""
    for line in log.splitlines():
        if match := _STAMP.match(line):
            yield Line(datetime.datetime.fromisoformat(match[1]).timestamp(), match[2], match[3])


def ended(lines):
    """Worker number and time of each process that ended by itself or did not start, as the supervisor tells it."""
    return [(int(match[1]), line.at) for line in lines if (match := _ENDED.match(line.text))]


def lost_connections_told(lines):
    """How many connections the log says were lost."""
    found = [match[1] for line in lines for one in _LOST if (match := one.search(line.text))]
    return sum(1 if count == "a" else int(count) for count in found)


@dataclass(frozen=True)
class Evidence:
    """Of one scene. `failures` are of `callers.Failure`; `pids` has the PID of each worker number, `killed` what the
    test itself killed, by `time.monotonic`; `clock_offset` is `time.time() - time.monotonic()`."""

    lines: tuple[Line, ...]
    failures: tuple
    refused: int
    struck: int
    client_is_gone: bool
    pids: dict[int, int]
    killed: tuple[Death, ...]
    told: object
    clock_offset: float


def complaints(evidence):
    """What is not permitted, a sentence each."""
    lines = evidence.lines
    found = [f"a client got a {failure.what}" for failure in evidence.failures if _is_any(failure.what, _WRONG)]
    found += [f"a client hangs: {one.what}" for one in evidence.failures if "no answer within" in one.what]
    if evidence.refused:
        found.append(f"{evidence.refused} connections were refused")
    found += [
        f"defect: {line.text[:300]}"
        for line in lines
        if _is_any(line.text, _DEFECTS) and not _is_any(line.text, _OF_THE_INTERPRETER)
    ]
    found += [f"ended by a deadline: {line.text[:300]}" for line in lines if _FORCED.search(line.text)]
    gone = ended(lines)
    processes = len(gone) + sum(1 for line in lines if _TEMPLATE_ENDED.match(line.text)) - len(evidence.killed)
    if processes > evidence.struck:
        found.append(f"{processes} processes ended for {evidence.struck} faults")
    return found + _silent_losses(evidence, gone)


def outcome(evidence):
    """In a word, if there are no complaints."""
    if len(ended(evidence.lines)) > len(evidence.killed):
        return "process"
    return "connection" if evidence.failures else "nothing"


def _silent_losses(evidence, gone):
    """Connections that ended without notice, no process with them, and no word of the log about it."""
    deaths = [Death(evidence.pids.get(number, 0), at - evidence.clock_offset) for number, at in gone]
    unexplained = [
        failure
        for failure in evidence.failures
        if "no answer within" not in failure.what
        and not _is_any(failure.what, _WRONG)
        and not culprits(failure, [*evidence.killed, *(_as_seen(death, failure) for death in deaths)], evidence.told)
    ]
    told = lost_connections_told(evidence.lines) + (evidence.struck if evidence.client_is_gone else 0)
    if len(unexplained) <= told:
        return []
    return [f"{len(unexplained)} connections lost, {told} told of: {[one.what[:200] for one in unexplained[:3]]}"]


def _as_seen(death, failure):
    """The kernel tells the client a moment before the supervisor hears of it."""
    early = 0 < death.at - failure.at < READ_EARLY_SECONDS
    return Death(death.pid, failure.at) if early else death


def _is_any(text, phrases):
    return any(phrase in text for phrase in phrases)
