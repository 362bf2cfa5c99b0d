"""The table of other servers' options is what `gracehttp migrate` makes of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from gracehttp.config import OPTIONS, foreign_names
from gracehttp.config.model import ALIASES

ROOT = Path(__file__).parents[3]


def test_module_is_what_the_rules_make_it() -> None:
    spec = importlib.util.spec_from_file_location("make_foreign_names", ROOT / "docs" / "make_foreign_names.py")
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    written = Path(foreign_names.__file__).read_text(encoding="utf-8")
    assert written == maker.module(), "run python docs/make_foreign_names.py"


def test_no_name_of_ours_is_called_foreign() -> None:
    assert not foreign_names.FOREIGN.keys() & {*OPTIONS, *ALIASES}
