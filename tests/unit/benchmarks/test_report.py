"""The pages that are made from raw results."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from benchmarks import report
from benchmarks.figures import Figure
from benchmarks.scale.growth import Line
from benchmarks.scale.plot import plot
from benchmarks.session import BenchmarkFailed


def results(**more):
    samples = {"gracehttp": [10.0, 11.0, 12.0], "freastal": [10.0, 10.0, 12.0], "nginx": [5.0, 5.0, 5.0]}
    figure = Figure(1, "asgi", "CPU time per request", "µs", samples)
    return {
        "machine": {"date": "2026-11-29T10:00:00", "processor": "a <processor>"},
        "servers": [{"name": "gracehttp", "python": "3.11.7"}],
        "settings": {"rounds": 3},
        "scenes": {"1": {"title": "small GET", "measures": "it"}},
        "commands": {"1 asgi": {"gracehttp": "gracehttp serve app"}},
        "ours": ["gracehttp"],
        "missing": ["peregrine"],
        "failures": ["scene 5, freastal: it has ended with status -11"],
        "figures": [figure.as_json()],
        **more,
    }


def test_the_table_has_medians_and_ratios_to_ours():
    page = report.write(results(), None, None)
    assert "| 1 small GET | ASGI: CPU time per request, µs | 11 | 10 (1) | 5 (0.455) |" in page


def test_targets_are_told_as_met_or_missed():
    page = report.write(results(), None, None)
    assert "| freastal = 1 | at most 1 | 1 | met |" in page
    assert "| nginx = 1 | at most 1.8 | 2.2 | **missed** |" in page


def test_what_is_missing_and_what_failed_is_named():
    page = report.write(results(), None, None)
    assert "not installed, so not measured: peregrine" in page
    assert "failed: scene 5, freastal: it has ended with status -11" in page


def test_the_picture_is_xml_whatever_the_processor_is_called(tmp_path):
    report.write(results(), tmp_path / "page.md", tmp_path / "picture.svg")
    texts = [element.text for element in ET.parse(tmp_path / "picture.svg").iter() if element.text]
    assert "freastal" in texts
    assert any("a <processor>" in text for text in texts)
    assert "small GET" in (tmp_path / "page.md").read_text(encoding="utf-8")


def test_raw_results_are_json():
    assert json.loads(json.dumps(results())) == results()


@pytest.mark.parametrize(
    ("value", "said"), [(0.4567, "0.457"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12,346"), (7.0, "7")]
)
def test_numbers_have_three_digits_that_count(value, said):
    assert report.number(value) == said


def test_the_plot_has_a_panel_for_each_line():
    lines = [Line("memory", "workers", "MB", [(1, 20.0), (16, 200.0)]), Line("nothing", "workers", "s", [(0, 0.0)])]
    assert len(list(ET.fromstring(plot(lines, "today")).iter("{http://www.w3.org/2000/svg}polyline"))) == 2


def test_targets_go_into_a_page_a_line_for_each_scene(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"before\n{report.BEGIN}\nolder\n{report.END}\nbehind\n")
    raw = tmp_path / "raw.json"
    raw.write_text(json.dumps(results()))
    for _ in range(2):  # the second time over what the first one wrote
        report.main([str(raw), "--into", str(page)])
    line = "| 1 small GET, ASGI | freastal **1** (1), nginx 2.2 (1.8) |"
    table = f"| scene | reached (target) |\n|---|---|\n{line}"
    assert page.read_text() == f"before\n{report.BEGIN}\n{table}\n{report.END}\nbehind\n"


def test_a_page_without_a_place_for_the_targets_is_left_alone(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("nothing\n")
    with pytest.raises(BenchmarkFailed, match="has no <!-- targets -->"):
        report.put_into(page, "")
