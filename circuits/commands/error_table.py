"""Error metrics as a table with designs side by side, and as one row for each quantity; headings of costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from circuits.accuracy.error_types import ErrorMetrics, Estimate
from circuits.cost.cost_model import UNITS
from circuits.support.cli import table
from circuits.support.numbers import significant

if TYPE_CHECKING:
    from rich.console import Console

    from circuits.accuracy.closed_forms import ClosedForm

SIDE_BY_SIDE = 4
"""Designs in one table."""
_QUANTILES = (0.5, 0.95, 0.999)
_MEANS = (
    ("MED", "med"),
    ("NMED", "nmed"),
    ("MRED, mean of ratios", "mred"),
    ("MRED, ratio of means", "mred_ratio_of_means"),
    ("bias", "bias"),
    ("variance", "variance"),
)


def tidy_errors(errors: ErrorMetrics) -> Iterator[dict[str, Any]]:
    """Rows with "quantity" and "value" for all metrics, and "low" and "high" where they are estimates."""
    for name, value in errors.to_dict().items():
        if name in ("design", "digest"):
            continue
        if isinstance(value, dict) and "low" in value:
            yield {"quantity": name, **value}
        elif isinstance(value, dict):
            for probability, quantile in value.items():
                yield {"quantity": f"{name} {probability}", "value": quantile}
        else:
            yield {"quantity": name, "value": " ".join(map(str, value)) if isinstance(value, list) else value}


def print_errors(
    out: Console,
    labels: Sequence[str],
    metrics: Sequence[ErrorMetrics],
    closed: Sequence[ClosedForm | None] = (),
    *,
    exact: str = "product",
) -> None:
    """Prints error metrics, designs side by side, and below each mean its closed form where there is one.

    `exact`: what the designs compute, in the note on relative errors.
    """
    rows = table("error metrics", *labels)
    rows.add_row("operands", *(_operands(m) for m in metrics))
    rows.add_row("P_max of NMED", *(plain_number(m.p_max) for m in metrics))
    for title, name in _MEANS:
        rows.add_row(title, *(format_estimate(getattr(m, name)) for m in metrics))
        if any(form is not None for form in closed):
            values = (None if form is None else getattr(form, name) for form in closed)
            rows.add_row("  closed form", *("" if value is None else plain_number(value) for value in values))
    rows.add_row("error rate", *(format_rate(m.error_rate) for m in metrics))
    rows.add_row("larger than exact", *(format_rate(m.larger) for m in metrics))
    rows.add_row("|error|, worst", *(f"{plain_number(m.worst_case)} at {_pair(m.worst_case_at)}" for m in metrics))
    for q in _QUANTILES:
        rows.add_row(f"|error|, {100 * q:g} % quantile", *(significant(m.quantiles[q]) for m in metrics))
    rows.add_row(
        "|relative|, worst",
        *(f"{plain_number(m.worst_relative)} at {_pair(m.worst_relative_at)}" for m in metrics),
    )
    for q in _QUANTILES:
        rows.add_row(f"|relative|, {100 * q:g} % quantile", *(significant(m.relative_quantiles[q]) for m in metrics))
    if any(m.not_finite for m in metrics):
        rows.add_row("results not finite", *(str(m.not_finite) for m in metrics))
    out.print(rows)
    out.print(f"±: 95 % confidence interval; relative: error / exact {exact}.")
    for label, errors in zip(labels, metrics, strict=True):
        for note in _without_interval(errors):
            out.print(f"{label}: {note}")
    out.print()


def cost_heading(measure: str) -> str:
    """The heading of a measure of cost, indented below that of its view; counts need no unit."""
    return f"  {measure}" if measure in ("cells", "transistors") else f"  {measure}, {UNITS[measure]}"


def _without_interval(errors: ErrorMetrics) -> Iterator[str]:
    """Notes on the means printed without an interval: how many operand pairs an interval needs."""
    titles: dict[int | None, list[str]] = {}
    for title, name in _MEANS:
        estimate: Estimate = getattr(errors, name)
        if math.isfinite(estimate.value) and not estimate.has_interval:
            titles.setdefault(estimate.needed, []).append(title)
    for needed, names in titles.items():
        reason = "all sampled pairs agree" if needed is None else f"one needs at least {needed:,} pairs"
        yield f"no interval for {'; '.join(names)}: {reason}."


def _operands(m: ErrorMetrics) -> str:
    seed = "" if m.seed is None else f", seed {m.seed}"
    return f"{m.distribution}, {m.method}, {m.samples} pairs{seed}"


def _pair(at: tuple[float, float]) -> str:
    return ", ".join(f"{value:.7g}" for value in at)


def plain_number(value: float) -> str:
    """Six significant digits, for numbers without sampling error: exhaustive means, closed forms, extremes, costs."""
    return significant(value, 6, padded=False)


def format_estimate(estimate: Estimate) -> str:
    """An estimate with the half width of its interval, as "0.38630 ±0.00055", or "0.386 ±-" without an interval.

    The half width has two digits; the value ends at the same decimal, but has at least three digits.
    """
    value, half = estimate.value, estimate.half_width
    if not math.isfinite(value):
        return str(value)
    if not estimate.has_interval:
        return f"{significant(value)} ±-"
    if half == 0:
        return plain_number(value)
    last = math.floor(math.log10(half)) - 1
    if abs(value) > half:
        last = min(last, math.floor(math.log10(abs(value))) - 2)
    if -7 <= last <= 0:
        return f"{value:.{-last}f} ±{half:.{-last}f}"
    leading = math.floor(math.log10(abs(value))) if value else last
    return f"{value:.{max(leading - last, 0)}e} ±{half:.1e}"


def format_rate(rate: Estimate) -> str:
    """A rate in percent with its interval, one-sided at 0 and 100 %."""
    if not math.isfinite(rate.value):
        return "undefined"
    if rate.low == rate.high:
        return f"{100 * rate.value:.6g} %"
    if rate.value == 0:
        return f"0 % (<{100 * rate.high:.2g})"
    if rate.value == 1:
        return f"100 % (>{100 * rate.low:.6g})"
    half = 100 * rate.half_width
    decimals = max(0, 1 - math.floor(math.log10(half)))
    return f"{100 * rate.value:.{decimals}f} % ±{half:.{decimals}f}"
