"""The pages that are made from raw results."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from benchmarks import report
from benchmarks.figures import Figure
from benchmarks.scale.growth import Line
from benchmarks.scale.plot import plot
from benchmarks.session import ROOT, BenchmarkFailed


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
    begin, end = "<!-- targets -->", "<!-- end of targets -->"
    page.write_text(f"before\n{begin}\nolder\n{end}\nbehind\n")
    raw = tmp_path / "raw.json"
    raw.write_text(json.dumps(results()))
    for _ in range(2):  # the second time over what the first one wrote
        report.main([str(raw), "--into", str(page)])
    line = "| 1 small GET, ASGI | freastal **1** (1), nginx 2.2 (1.8) |"
    table = f"| scene | reached (target) |\n|---|---|\n{line}"
    assert page.read_text() == f"before\n{begin}\n{table}\n{end}\nbehind\n"


def of_deploys():
    """The results of a run of scene 17."""
    figures = [
        Figure(17, "asgi", f"{situation}: {title}", "", {"gracehttp": [0.0], "uvicorn": [count]}).as_json()
        for situation, titles in {
            "four deploys in ten seconds": {
                "lost or reset on kept connections": 13.0,
                "lost or reset on new connections": 4.0,
                "refused": 0.0,
                "answered with an error": 0.0,
                "reconnects": 149.0,
                "longest without any answer": 0.25,
            },
            "a deploy of broken code": {"refused": 25390.0, "newest code answered in the end, 1 = yes": 0.0},
            "an import of 10 s": {"longest without any answer": 1.25},
        }.items()
        for title, count in titles.items()
    ]
    figures.append(Figure(17, "asgi", "silent: answered of 20", "", {"gracehttp": [20.0]}).as_json())
    servers = [
        {"name": "gracehttp", "python": "3.11.7", "gracehttp": "0.1.0", "uvloop": "0.23", "commit": "abc1234"},
        {"name": "uvicorn", "python": "3.11.7", "uvicorn": "0.54.0"},
    ]
    scenes = {"17": {"title": "deploys", "measures": "them"}}
    return results(scenes=scenes, figures=figures, servers=servers, commands={}, failures=[])


def test_what_deploys_have_cost_goes_into_a_page_with_a_column_for_each_server(tmp_path):
    page, raw = tmp_path / "comparison.md", tmp_path / "raw.json"
    page.write_text("before\n<!-- deploys -->\nolder\n<!-- end of deploys -->\nbehind\n")
    raw.write_text(json.dumps(of_deploys()))
    report.main([str(raw), "--into", str(page)])
    text = page.read_text()
    assert text.startswith("before\n<!-- deploys -->\nMeasured by `python -m benchmarks --scenes 17` on 2026-11-29")
    assert "(gracehttp, commit abc1234)" in text
    assert "| | gracehttp 0.1.0 | uvicorn 0.54.0 |" in text
    assert "| lost, connection kept | 0 | 13 |" in text
    assert "good code 5 s later: refused | 0 | 25,390 |" in text
    assert "| connected before, first byte 4 s after: answered of 20 | 20 | - |" in text
    assert text.endswith("<!-- end of deploys -->\nbehind\n")


def test_the_pages_have_a_place_for_what_goes_there(tmp_path):
    for name, path in {"targets": "README.md", "deploys": "docs/comparison.md"}.items():
        assert f"<!-- {name} -->" in (ROOT / path).read_text(encoding="utf-8")


def test_deploys_that_were_not_measured_leave_the_page_alone(tmp_path):
    page = tmp_path / "comparison.md"
    page.write_text("<!-- deploys --><!-- end of deploys -->")
    with pytest.raises(BenchmarkFailed, match="no scene 17"):
        report.put_into(page, report.Results(results()))
    assert page.read_text() == "<!-- deploys --><!-- end of deploys -->"


def test_a_page_without_a_place_for_the_targets_is_left_alone(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("nothing\n")
    with pytest.raises(BenchmarkFailed, match="has none of <!-- targets -->"):
        report.put_into(page, report.Results(results()))
