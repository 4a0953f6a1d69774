"""Common parts of tables 7 and 9: energy and delay relative to the exact design, per view and activity model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from circuits import CostReport, cost_report, design
from circuits.cost import GLITCHES, conditions, technology
from circuits.cost.left_out import left_out
from studies.frame.study import Row, StudyOptions
from studies.frame.verdict_text import Conclusion, verdict

SAMPLES = {"quick": 257, "default": 2049, "full": 8193}
"""Length of the random operand sequence behind each energy. Each pair of neighbours in it is one transition."""
BASELINE = "exact"
_TOLERANCE = 0.1
_HEADLINE = "arc_delay"
"""The activity model compared with the published energy. That energy comes from a circuit simulator, which includes
glitches, and so does this model."""
_SENSITIVITY = "left out by the model: how far it matters, no fit"
_ACTIVITY = {"arc_delay": "glitches included", "none": "zero delay"}


def rows(
    published: Mapping[str, tuple[float, float]],
    subjects: Mapping[str, str],
    reasons: Mapping[tuple[str, str], str],
    options: StudyOptions,
    *,
    whole: bool,
) -> list[Row]:
    """Returns the exact design's costs, then the cost ratios of every subject.

    The ratios of a subject are energy and delay beside the published ones, then the other activity model, the
    simplified view and the area. `subjects` maps a design to the published row that it stands for. `reasons` maps
    (design, "energy" or "delay") to the reason why our ratio differs from the published one by more than 0.1.
    """
    samples = SAMPLES[options.level]
    reports = {
        (name, glitches): _report(name, samples, glitches, whole)
        for name in (BASELINE, *subjects)
        for glitches in GLITCHES
    }
    exact = reports[BASELINE, _HEADLINE]
    cost_rows = [
        Row(exact.design, f"energy as drawn, {_ACTIVITY[_HEADLINE]}", exact.drawn.energy, unit="fJ"),
        Row(exact.design, "energy as drawn, zero delay", reports[BASELINE, "none"].drawn.energy, unit="fJ"),
        Row(exact.design, "delay as drawn", exact.drawn.delay, unit="ps"),
        Row(exact.design, "area as drawn", exact.drawn.area, unit="um^2"),
    ]
    for name, published_name in subjects.items():
        report = reports[name, _HEADLINE]
        for measure, published_ratio in zip(("energy", "delay"), published[published_name], strict=True):
            ratio = _ratio(report, exact, measure, "drawn")
            remark = ""
            if abs(ratio - published_ratio) > _TOLERANCE:
                remark = reasons[name, measure]
            detail = f", {_ACTIVITY[_HEADLINE]}" if measure == "energy" else ""
            cost_rows.append(
                Row(report.design, f"{measure} / exact, as drawn{detail}", ratio, published_ratio, remark=remark)
            )
        zero_delay_ratio = _ratio(reports[name, "none"], reports[BASELINE, "none"], "energy", "drawn")
        cost_rows.append(Row(report.design, "energy / exact, as drawn, zero delay", zero_delay_ratio))
        for measure in ("energy", "delay"):
            cost_rows.append(
                Row(report.design, f"{measure} / exact, both simplified", _ratio(report, exact, measure, "simplified"))
            )
        cost_rows.append(Row(report.design, "area / exact, as drawn", _ratio(report, exact, "area", "drawn")))
    cost_rows += [row for name in subjects for row in _left_out_rows(name, samples, whole, options.wire)]
    labels = [design(name).label for name in (BASELINE, *subjects)]
    cost_rows.sort(key=lambda row: labels.index(row.subject))
    return cost_rows


def _left_out_rows(name: str, samples: int, whole: bool, wire: float) -> list[Row]:
    """Returns the ratios to exact that the operands' drivers, and `wire` fF of wire a sink, would give.

    They say how far the ratios depend on what the model leaves out. No published number stands beside them: a
    capacitance that is chosen afterwards would fit anything.
    """
    rows = []
    for glitches, activity in _ACTIVITY.items():
        added = left_out(design(name), wire=wire, samples=samples, glitches=glitches, whole=whole)
        for quantity, _, _, ratio in added.rows():
            what, _, rest = quantity.partition(" with ")
            if what == "delay" and glitches != _HEADLINE:
                continue  # the longest path of the graph has no activity
            detail = "" if what == "delay" else f", {activity}"
            rows.append(
                Row(design(name).label, f"{what} / exact, as drawn{detail}, with {rest}", ratio, remark=_SENSITIVITY)
            )
    return rows


def ratios_verdict(rows: Sequence[Row]) -> Conclusion:
    """Returns the verdict on the ratios with a published number, and the counts behind it."""
    compared = [(row.measured, row.published) for row in rows if row.published is not None]
    close = sum(abs(measured - published) <= _TOLERANCE for measured, published in compared)
    saving = sum(measured < 1 for measured, _ in compared)
    lower = sum(published - measured > _TOLERANCE for measured, published in compared)
    counts = (
        f"of {len(compared)} ratios with a published number, {saving} save, {close} are within {_TOLERANCE:g} of it, "
        f"{lower} are lower and {len(compared) - close - lower} higher; the remarks say why"
    )
    return verdict(reproduced=close == len(compared), in_direction=saving == len(compared)), counts


def order(rows: Sequence[Row], measure: str, first: str, second: str) -> str:
    """Says which of two designs has the lower `measure` ("energy" or "delay"), given the rows that `rows` returns."""
    ratios = {
        row.subject: row.measured
        for row in rows
        if row.published is not None and row.quantity.startswith(f"{measure} / exact")
    }
    one, other = design(first).label, design(second).label
    return f"{one if ratios[one] < ratios[other] else other} takes less {measure}"


@lru_cache(maxsize=64)
def _report(name: str, samples: int, glitches: str, whole: bool) -> CostReport:
    return cost_report(design(name), samples=samples, glitches=glitches, whole=whole)


def _ratio(report: CostReport, exact: CostReport, measure: str, view: str) -> float:
    """Returns a cost relative to the exact design's in the same view."""
    return float(report.value(view, measure) / exact.value(view, measure))


def settings(options: StudyOptions) -> dict[str, Any]:
    """Returns the settings that the rows depend on."""
    return {
        "samples": SAMPLES[options.level],
        "seed": 0,
        "wire_fF": options.wire,
        "operands": "mantissas uniform in [1, 2); whole: random signs, exponents uniform over half their range",
        "technology": technology().note,
        "table": conditions(),
    }
