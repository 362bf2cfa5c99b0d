"""docs/options.md is what the code says."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

from gracehttp.config import load

DOCS = Path(__file__).parents[3] / "docs"


def test_page_of_options_is_up_to_date() -> None:
    made = runpy.run_path(str(DOCS / "make_options.py"))["page"]()
    assert (DOCS / "options.md").read_text(encoding="utf-8") == made, "run python docs/make_options.py"


def test_example_on_the_page_is_a_valid_file(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", (DOCS / "options.md").read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    assert tomllib.loads(example[1])
    file = tmp_path / "gracehttp.toml"
    file.write_text(example[1])
    configuration = load(cli={}, environ={}, file=file)
    assert [server.tls for server in configuration.servers] == [False, True, False]
