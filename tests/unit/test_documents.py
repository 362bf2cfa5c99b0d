"""What the documents name exists, and packages tell what they are for."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import click
import pytest

from gracehttp.cli.program import program
from gracehttp.config import OPTIONS
from gracehttp.config.near_names import foreign_flag
from gracehttp.worker.service import LIFESPAN_SHUTDOWN_SECONDS

ROOT = Path(__file__).parents[2]
PROMISES = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
ROWS = [line for line in PROMISES.partition("\n## ")[0].splitlines() if line.startswith("| ") and "**" in line]
THREATS = [line for line in (ROOT / "SECURITY.md").read_text(encoding="utf-8").splitlines() if line.startswith("| **")]
PACKAGES = sorted(init.parent for init in (ROOT / "src" / "gracehttp").glob("**/__init__.py"))
MODULES = [
    f"/{file.relative_to(ROOT)}"
    for top in ("src", "tests", "docs", "examples", "benchmarks")
    for file in ROOT.glob(f"{top}/**/*.py")
] + ["/setup.py"]
CALLED = re.compile(r"\bgracehttp (serve|check|restart|stop|status|top|demo|example|migrate|completion)\b([^\n;|&#]*)")
FLAGS = {
    flag
    for name in program.list_commands(click.Context(program))
    if (command := program.get_command(click.Context(program), name)) is not None
    for given in command.params
    for flag in (*given.opts, *given.secondary_opts)
} | {"--help", "--version"}
"""Of all commands."""
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "tests" / "vectors" / "README.md"])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_each_test_that_a_promise_names_exists_and_each_promise_names_one(row):
    named = re.findall(r"(C )?`(test_\w+\.py)`", row)
    assert named
    for in_chaos, name in named:
        assert (ROOT / "tests" / ("chaos" if in_chaos else "process") / name).is_file(), name


def test_the_page_has_the_promises_of_the_readme():
    of_readme = re.search(r"## The promises\n(.*?)\n## ", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[
        1
    ]
    named = [re.search(r"\*\*(.+?)\*\*", row)[1] for row in ROWS if not row.startswith("| 4a ")]
    assert [name.rstrip(".") for name in re.findall(r"^\d\. \*\*(.+?)\*\*", of_readme, re.MULTILINE)] == named


def test_every_file_of_chaos_shows_a_promise():
    shown = set(re.findall(r"C `(test_\w+\.py)`", PROMISES))
    of_the_tests_themselves = {"test_blame.py", "test_failing_calls.py", "test_fault_verdict.py"}
    assert shown == {file.name for file in (ROOT / "tests" / "chaos").glob("test_*.py")} - of_the_tests_themselves


def test_every_folder_that_a_promise_names_exists():
    folders = re.findall(r"`(tests/[\w/]+)`", PROMISES)
    assert folders
    assert all((ROOT / one).is_dir() for one in folders)


@pytest.mark.parametrize("threat", THREATS, ids=lambda row: re.search(r"\*\*(.+?)\*\*", row)[1])
def test_each_threat_names_tests_and_each_of_them_exists(threat):
    *_, shown_by, _end = threat.split("|")
    named = re.findall(r"`(test_\w+\.py)`", shown_by)
    assert named
    for name in named:
        assert len(list((ROOT / "tests").glob(f"**/{name}"))) == 1, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_of_ours_leads_to_one(page):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_that_a_page_names_exists(page):
    """Such as `net/acceptor.py`, by the end of its path; scripts in other folders count as well."""
    named = re.findall(r"`([\w/]+\.py)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not any(file.endswith(f"/{name}") for file in MODULES)] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.relative_to(ROOT)))
def test_every_package_tells_what_it_may_import_and_where_to_start_reading(package):
    told = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert re.search(r"imports?\b", told, re.IGNORECASE)
    assert re.search(r"start\s+reading", told, re.IGNORECASE)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.relative_to(ROOT)))
def test_every_package_names_each_of_its_modules(package):
    told = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    modules = {one.stem for one in package.glob("*.py")} | {one.parent.name for one in package.glob("*/__init__.py")}
    named = {name.rpartition(".")[2] for name in re.findall(r"`([\w.]+)`", told)}
    assert {one for one in modules if not one.startswith("__")} - named == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_option_on_a_line_of_gracehttp_exists(page):
    """In blocks of commands: `gracehttp serve main:app --bind :8000`, also where it goes on in the next line."""
    text = page.read_text(encoding="utf-8")
    wrong = []
    for block in re.findall(r"^```(?:sh|console)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        quoted = re.sub(r"'[^']*'|\"[^\"]*\"", "x", block.replace("\\\n", " "))
        for name, arguments in CALLED.findall(quoted):
            command = getattr(importlib.import_module(f"gracehttp.cli.{name}"), name)
            arguments = arguments.partition(" -- ")[0]  # behind it is the command of another server
            known = {flag for given in command.params for flag in (*given.opts, *given.secondary_opts)}
            wrong += [word for word in re.findall(r"(?<!\S)(--?[a-z][\w-]*)", arguments) if word not in known]
    assert wrong == []


OF_OTHERS = {
    "building": "pip", "comparison": "other servers; the test below looks at the column of ours",
    "performance": "the benchmarks; test_code_blocks.py looks at them",
}  # fmt: skip
"""Pages on which most options are those of other programs."""
OF_OTHER_PROGRAMS = {
    "--editable", "--init", "--listen", "--rm", "--scenes", "--silent", "--soak",
}  # fmt: skip
"""pip, docker, debugpy, the benchmarks, curl and the tests of faults have them."""


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md"], ids=lambda page: page.stem)
def test_every_option_that_a_page_names_exists(page):
    """In sentences and tables too. On the page for those who move here it may be one that their server has."""
    if page.stem in OF_OTHERS:
        return
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z\d-]+", page.read_text(encoding="utf-8"))) - OF_OTHER_PROGRAMS
    if page.stem == "migrating":
        named = {flag for flag in named if foreign_flag(flag) is None}
    assert named - FLAGS == set()


def test_every_option_of_ours_in_the_comparison_exists():
    rows = [line.split("|") for line in (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8").splitlines()]
    named = {flag for row in rows if len(row) > 3 for flag in re.findall(r"`(--[a-z\d-]+)", row[2])}
    assert named
    assert named - {option.flag for option in OPTIONS.values()} == set()


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("frameworks", "ends a lifespan shutdown after {} seconds"),
        ("hooks", "it has {} seconds"),
        ("lifespans", "when its requests have ended, at most {} seconds"),
    ],
)
def test_a_page_that_tells_how_long_a_lifespan_shutdown_may_take_is_right(page, sentence):
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert sentence.format(f"{LIFESPAN_SHUTDOWN_SECONDS:g}") in " ".join(text.split())
