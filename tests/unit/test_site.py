"""The site has every page, finds the files that pages link to, and loads nothing from the network."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONFIGURATION = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def named(nav):
    if isinstance(nav, str):
        return [nav]
    return [page for entry in (nav.values() if isinstance(nav, dict) else nav) for page in named(entry)]


def test_every_page_is_in_the_navigation_once():
    pages = [page for page in named(yaml.safe_load(CONFIGURATION)["nav"]) if not page.startswith("repository/")]
    there = [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").glob("**/*.md")]
    assert sorted(pages) == sorted(there), "add the page to nav in mkdocs.yml"


@pytest.fixture
def hooks():
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    import importlib.util

    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs" / "site_hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("path", "text", "made"),
    [
        ("docs/running.md", "[a](options.md)", "[a](options.md)"),
        ("docs/running.md", "[a](../README.md#use-it)", "[a](repository/README.md#use-it)"),
        (
            "docs/decisions/0001-dependencies.md",
            "[a](../../benchmarks/floor.md)",
            "[a](../repository/benchmarks/floor.md)",
        ),
        ("docs/running.md", "[a](../examples/gracehttp.toml)", "[a](repository/examples/gracehttp.toml.md)"),
        ("docs/running.md", "[a](../examples)", "[a](repository/examples/index.md)"),
        ("README.md", "[a](docs/options.md#tls)", "[a](../options.md#tls)"),
        ("README.md", "[a](ARCHITECTURE.md)", "[a](ARCHITECTURE.md)"),
        ("README.md", "![a](docs/restarts.svg)", "![a](../restarts.svg)"),
        ("README.md", "[a](https://example.com/README.md)", "[a](https://example.com/README.md)"),
        ("README.md", "```\n[a](docs/options.md)\n```", "```\n[a](docs/options.md)\n```"),
        ("README.md", "[a](docs/no_such_page.md)", "[a](docs/no_such_page.md)"),
    ],
)
def test_links_lead_to_the_pages_of_the_site(hooks, path, text, made):
    assert hooks.with_links(text, path) == made
