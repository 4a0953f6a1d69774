"""What tables 7 and 9 share: energy and delay over the exact design's, in both views and activity models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from circuits import CostReport, cost_report, design
from circuits.cost import GLITCHES, conditions, technology
from studies.frame.study import Row, StudyOptions
from studies.frame.verdict_text import Conclusion, verdict

SAMPLES = {"quick": 257, "default": 2049, "full": 8193}
"""Consecutive random operand pairs behind each energy."""
BASELINE = "exact"
_TOLERANCE = 0.1
_HEADLINE = "arc_delay"
"""The activity model that stands beside the published energy, which a circuit simulator gave: it has glitches."""
_ACTIVITY = {"arc_delay": "glitches included", "none": "zero delay"}


def rows(
    published: Mapping[str, tuple[float, float]],
    subjects: Mapping[str, str],
    reasons: Mapping[tuple[str, str], str],
    options: StudyOptions,
    *,
    whole: bool,
) -> list[Row]:
    """For each subject: published energy and delay beside ours, then the other view, activity model, area and leakage.

    `subjects`: design -> the published row that it stands for. `reasons`: (design, "energy" or "delay") -> why ours
    differs from the published ratio by more than 0.1.
    """
    samples = SAMPLES[options.level]
    reports = {
        (name, glitches): _report(name, samples, glitches, whole)
        for name in (BASELINE, *subjects)
        for glitches in GLITCHES
    }
    exact = reports[BASELINE, _HEADLINE]
    ratios_and_costs = [
        Row(exact.design, f"energy as drawn, {_ACTIVITY[_HEADLINE]}", exact.drawn.energy, unit="fJ"),
        Row(exact.design, "energy as drawn, zero delay", reports[BASELINE, "none"].drawn.energy, unit="fJ"),
        Row(exact.design, "delay as drawn", exact.drawn.delay, unit="ps"),
        Row(exact.design, "area as drawn", exact.drawn.area, unit="um^2"),
    ]
    for name, row in subjects.items():
        report = reports[name, _HEADLINE]
        for measure, number in zip(("energy", "delay"), published[row], strict=True):
            ratio = _ratio(report, exact, measure, "drawn")
            remark = ""
            if abs(ratio - number) > _TOLERANCE:
                remark = reasons[name, measure]
            detail = f", {_ACTIVITY[_HEADLINE]}" if measure == "energy" else ""
            ratios_and_costs.append(
                Row(report.design, f"{measure} / exact, as drawn{detail}", ratio, number, remark=remark)
            )
        settled = _ratio(reports[name, "none"], reports[BASELINE, "none"], "energy", "drawn")
        ratios_and_costs.append(Row(report.design, "energy / exact, as drawn, zero delay", settled))
        for measure in ("energy", "delay"):
            ratios_and_costs.append(
                Row(report.design, f"{measure} / exact, both simplified", _ratio(report, exact, measure, "simplified"))
            )
        ratios_and_costs.append(Row(report.design, "area / exact, as drawn", _ratio(report, exact, "area", "drawn")))
    return ratios_and_costs


def ratios_verdict(rows: Sequence[Row]) -> Conclusion:
    """The verdict over the ratios with a published number, and the counts behind it."""
    compared = [(row.measured, row.published) for row in rows if row.published is not None]
    close = sum(abs(measured - number) <= _TOLERANCE for measured, number in compared)
    saving = sum(measured < 1 for measured, _ in compared)
    lower = sum(number - measured > _TOLERANCE for measured, number in compared)
    counts = (
        f"of {len(compared)} ratios with a published number, {saving} save, {close} are within {_TOLERANCE:g} of it, "
        f"{lower} are lower and {len(compared) - close - lower} higher; the remarks say why"
    )
    return verdict(reproduced=close == len(compared), in_direction=saving == len(compared)), counts


def order(rows: Sequence[Row], measure: str, first: str, second: str) -> str:
    """Which of two designs has the lower `measure` ("energy" or "delay"), in words; `rows` as `rows` makes them."""
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
    return float(report.value(view, measure) / exact.value(view, measure))


def settings(options: StudyOptions) -> dict[str, Any]:
    """What the rows depend on."""
    return {
        "samples": SAMPLES[options.level],
        "seed": 0,
        "operands": "mantissas uniform in [1, 2); whole: random signs, exponents uniform over half their range",
        "technology": technology().note,
        "table": conditions(),
    }
