"""The text format of Prometheus, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gracehttp.values import EMPTY, Value

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Sample(Value):
    """`suffix` is what stands behind the name of the metric, such as `_bucket`."""

    value: float
    labels: Mapping[str, str] = EMPTY
    suffix: str = ""


class Metric(Value):
    """One metric: `kind` is counter, gauge, histogram or summary."""

    name: str
    kind: str
    help: str
    samples: Sequence[Sample]


def histogram(bounds: Sequence[float], counts: Sequence[int], total: float) -> list[Sample]:
    """The samples of one histogram. `counts` are those between the bounds, the last one above all of them; `total` is
    the sum of what was observed."""
    samples, below = [], 0
    for bound, count in zip([*map(_number, bounds), "+Inf"], counts, strict=True):
        below += count
        samples.append(Sample(below, {"le": bound}, "_bucket"))
    return [*samples, Sample(total, suffix="_sum"), Sample(below, suffix="_count")]


def render(metrics: Iterable[Metric]) -> str:
    """The text of all metrics. One without samples is left out."""
    return "".join(line for metric in metrics if metric.samples for line in _lines(metric))


def _lines(metric: Metric) -> Iterable[str]:
    yield f"# HELP {metric.name} {_escaped(metric.help, quotes=False)}\n"
    yield f"# TYPE {metric.name} {metric.kind}\n"
    for sample in metric.samples:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())
        braces = f"{{{labels}}}" if labels else ""
        yield f"{metric.name}{sample.suffix}{braces} {_number(sample.value)}\n"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _escaped(text: str, *, quotes: bool = True) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes else text
