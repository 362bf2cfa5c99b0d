"""Every block of code on a page of the documentation, fenced or indented, with the comment that tells how it is tried.

`test_code_blocks.py` tells which comments there are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^( *)(`{3,}|~{3,}) *(\w*).*$")
_MARK = re.compile(r"^<!-- (.+) -->$")
_ITEM = re.compile(r"^ *(?:[-*+]|\d+\.) ")


@dataclass(frozen=True, slots=True)
class Block:
    page: str
    """Its name without `.md`."""
    line: int
    """Of its first line of code, counted from 1."""
    language: str
    mark: str
    """What the comment above it says, "" without one."""
    text: str
    section: str = ""
    """The heading that it stands below."""

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def kind(self) -> str:
        return self.mark.partition(" ")[0]

    @property
    def about(self) -> str:
        """The words of the mark behind the first, without a preposition: `file main.py`, `run in server`."""
        return re.sub(r"^(in|by|for) ", "", self.mark.partition(" ")[2])


def blocks_of(page: str, text: str) -> list[Block]:
    """The blocks of a page, in their order. Lines that are indented below an item of a list are part of its text."""
    lines = text.splitlines()
    found = []
    at, in_list, section = 0, False, ""
    while at < len(lines):
        if fence := _FENCE.match(lines[at]):
            end = next(
                (
                    number
                    for number in range(at + 1, len(lines))
                    if re.fullmatch(rf" *{fence[2]}[`~]* *", lines[number])
                ),
                len(lines),
            )
            indent = len(fence[1])
            code = [line[indent:] if line[:indent].isspace() else line for line in lines[at + 1 : end]]
            found.append(
                Block(page, at + 2, fence[3], _mark_above(lines, at), "".join(f"{line}\n" for line in code), section)
            )
            at = end + 1
        elif (
            lines[at].startswith("    ")
            and lines[at].strip()
            and not in_list
            and (at == 0 or not lines[at - 1].strip())
        ):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            code = [line[4:] for line in lines[at:end]]
            found.append(Block(page, at + 1, "", _mark_above(lines, at), "\n".join(code).rstrip() + "\n", section))
            at = end
        else:
            if lines[at].startswith("#"):
                section = lines[at]
            if lines[at].strip():
                in_list = bool(_ITEM.match(lines[at])) or (in_list and lines[at].startswith(" "))
            at += 1
    return found


def _mark_above(lines, at):
    above = next((line for line in reversed(lines[:at]) if line.strip()), "")
    mark = _MARK.match(above)
    return mark[1] if mark else ""


BLOCKS = [block for page in PAGES for block in blocks_of(page.stem, page.read_text(encoding="utf-8"))]
