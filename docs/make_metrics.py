"""Writes the table of all metrics into docs/metrics.md, from the catalog.

python docs/make_metrics.py
"""

from __future__ import annotations

from pathlib import Path

from gracehttp.supervisor.metrics.catalog import CATALOG, PREFIX

PAGE = Path(__file__).parent / "metrics.md"
BEGIN, END = "<!-- catalog -->", "<!-- end of the catalog -->"


def table() -> str:
    rows = ["| metric | kind | labels | |", "|---|---|---|---|"]
    for name, one in CATALOG.items():
        labels = ", ".join(f"`{label}`" for label in one.labels)
        rows.append(f"| `{PREFIX}{name}` | {one.kind} | {labels} | {one.help} |")
    return "\n".join(rows)


def page() -> str:
    """The page with its table up to date."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2] if END in rest else rest
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
