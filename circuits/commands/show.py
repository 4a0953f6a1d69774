"""`show`: definition, error metrics and cost of designs, side by side."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuits.bilinear import BilinearForm, design_form
from circuits.cli import add_format, console, integer, print_csv, print_json, table
from circuits.commands.common import DESIGN_HELP, add_cells, user_cells
from circuits.cost import ACTIVITIES, EXACT, MAXIMUM_SAMPLES, OWN_TOPOLOGY, CostReport, cost_report
from circuits.designs import Design, find_design
from circuits.metrics import DISTRIBUTIONS, METHODS, ErrorMetrics, Estimate, error_metrics
from circuits.metrics import MAXIMUM_SAMPLES as MAXIMUM_PAIRS
from circuits.numbers import significant
from circuits.technology import GLITCHES

if TYPE_CHECKING:
    from rich.console import Console

    from circuits.closed_form import ClosedForm
    from circuits.commands.common import Commands

_SIDE_BY_SIDE = 4
_SHOWN_QUANTILES = (0.5, 0.95, 0.999)
_MEANS = (
    ("MED", "med"),
    ("NMED", "nmed"),
    ("MRED, mean of ratios", "mred"),
    ("MRED, ratio of means", "mred_ratio_of_means"),
    ("bias", "bias"),
    ("variance", "variance"),
)


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "show",
        help="definition, error metrics and cost, side by side",
        description="The exact definition of designs, then their error metrics and cost, side by side.",
    )
    parser.add_argument("designs", nargs="+", metavar="DESIGN", help=DESIGN_HELP)
    add_cells(parser)
    parser.add_argument(
        "--samples", type=integer(2, MAXIMUM_PAIRS), default=1_000_000, help="operand pairs for the error metrics"
    )
    parser.add_argument("--seed", type=integer(0), default=0, help="seed of the operands")
    parser.add_argument(
        "--distribution",
        choices=DISTRIBUTIONS,
        default="uniform01",
        help="operands: uniform in [0, 1], or mantissas uniform in [1, 2); integer designs: all, or leading bit set",
    )
    parser.add_argument(
        "--method", choices=METHODS, default="auto", help="auto: exhaustive for integer designs of up to 20 bits"
    )
    parser.add_argument(
        "--cost-samples",
        type=integer(2, MAXIMUM_SAMPLES),
        default=2048,
        help="consecutive operand pairs for the switching activity",
    )
    parser.add_argument(
        "--glitches",
        choices=GLITCHES,
        default="none",
        help="activity model: zero delay, or every arc its delay, glitches included (slower)",
    )
    parser.add_argument(
        "--cost-operands",
        type=Path,
        metavar="FILE",
        help="a .npz file with arrays x and w: energy over these consecutive operand pairs, a trace (default: random)",
    )
    parser.add_argument("--whole", action="store_true", help="cost of the whole float multiplier, exponents included")
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the designs."""
    cells = user_cells(arguments)
    designs = [find_design(text, cells) for text in arguments.designs]
    from circuits.commands.metrics import read_operands  # it imports this module

    trace = None if arguments.cost_operands is None else read_operands(arguments.cost_operands)
    found = []
    for entry in designs:
        errors = error_metrics(
            entry,
            samples=arguments.samples,
            seed=arguments.seed,
            distribution=arguments.distribution,
            method=arguments.method,
        )
        cost = cost_report(
            entry,
            samples=arguments.cost_samples,
            seed=arguments.seed,
            glitches=arguments.glitches,
            whole=arguments.whole,
            operands=trace,
        )
        found.append((entry, design_form(entry), errors, cost))
    if arguments.format == "json":
        print_json({"designs": [_record(*item) for item in found]})
    elif arguments.format == "csv":
        rows = [row for item in found for row in _tidy(*item)]
        print_csv(["design", "group", "quantity", "value", "low", "high", "unit", "note"], rows)
    else:
        for start in range(0, len(found), _SIDE_BY_SIDE):
            _print_tables(found[start : start + _SIDE_BY_SIDE])
    return 0


Found = tuple[Design, BilinearForm | None, ErrorMetrics, CostReport]


def _record(design: Design, form: BilinearForm | None, errors: ErrorMetrics, cost: CostReport) -> dict[str, Any]:
    return {
        "design": design.label,
        "definition": {**design.describe(), "digest": design.digest},
        "bilinear": None if form is None else {"form": str(form), "rank": form.rank, "proof": form.proof},
        "errors": errors.to_dict(),
        "cost": cost.to_dict(),
    }


def _tidy(design: Design, form: BilinearForm | None, errors: ErrorMetrics, cost: CostReport) -> list[dict[str, Any]]:
    """One row a quantity."""
    rows: list[dict[str, Any]] = []

    def add(group: str, quantity: str, value: Any, unit: str = "", note: str = "", **interval: Any) -> None:
        row = {"design": design.label, "group": group, "quantity": quantity, "value": value, "unit": unit, "note": note}
        rows.append({**row, **interval})

    for name, text in {**design.describe(), "digest": design.digest}.items():
        add("definition", name, text)
    add("definition", "bilinear", _form(form))
    for quantity in tidy_errors(errors):
        add("errors", **quantity)
    for view in ("drawn", "simplified"):
        for name in ("cells", "transistors", "area", "energy", "delay", "leakage"):
            add(f"cost {view}", name, getattr(getattr(cost, view), name), cost.units[name], cost.note)
    for baseline, views in cost.to_dict()["ratios"].items():
        for view, measures in views.items():
            for name, value in measures.items():
                add(f"cost {view}", f"{name} / {baseline}", value, "ratio", cost.note)
    return rows


def tidy_errors(errors: ErrorMetrics) -> Iterator[dict[str, Any]]:
    """quantity and value of all metrics, with low and high where they are estimates."""
    for name, value in errors.to_dict().items():
        if name in ("design", "digest"):
            continue
        if isinstance(value, dict) and "low" in value:
            yield {"quantity": name, **value}
        elif isinstance(value, dict):
            for probability, entry in value.items():
                yield {"quantity": f"{name} {probability}", "value": entry}
        else:
            yield {"quantity": name, "value": " ".join(map(str, value)) if isinstance(value, list) else value}


def _form(form: BilinearForm | None) -> str:
    return "none proved" if form is None else form.describe()


def _print_tables(found: list[Found]) -> None:
    out = console()
    labels = [design.label for design, *_ in found]

    definition = table("definition", *labels)
    described = [design.describe() for design, *_ in found]
    for name in described[0]:
        definition.add_row(name, *(entry[name] for entry in described))
    definition.add_row("bilinear", *(_form(form) for _, form, _, _ in found))
    definition.add_row("digest", *(design.digest[:16] for design, *_ in found))
    out.print(definition)
    out.print()

    print_errors(out, labels, [errors for _, _, errors, _ in found])

    costs = [cost for *_, cost in found]
    units = costs[0].units
    shown = table(
        "cost at 45 nm", *(f"~{label}" if cost.estimated else label for label, cost in zip(labels, costs, strict=True))
    )
    for view, title in (("drawn", "as drawn"), ("simplified", "simplified")):
        shown.add_row(title)
        for name in ("cells", "transistors", "area", "energy", "delay", "leakage"):
            heading = f"  {name}" if name in ("cells", "transistors") else f"  {name}, {units[name]}"
            shown.add_row(heading, *(_exact(getattr(getattr(c, view), name)) for c in costs))
        for baseline, short in ((EXACT, "exact"), (OWN_TOPOLOGY, "own topology")):
            for name in ("transistors", "area", "energy", "delay"):
                ratios = (significant(c.ratio(name, baseline=baseline, view=view)) for c in costs)
                shown.add_row(f"  {name} / {short}", *ratios)
    out.print(shown)
    first = costs[0]
    scope = "Whole float multiplier" if first.whole else "Mantissa multiplier only"
    out.print(
        f"{scope}, {first.conditions}. Energy: {ACTIVITIES[first.glitches]}, {first.samples} operands, leakage over "
        "one delay included; wires are not counted. / exact: over the exact ripple array of the same width; / own "
        "topology: over exact cells in the design's own topology."
    )
    estimated = sorted({name for cost in costs for name in cost.estimated})
    if estimated:
        out.print(f"~: cost partly estimated, not characterised, for {', '.join(estimated)}.")
    out.print()


def print_errors(
    out: Console, labels: Sequence[str], metrics: Sequence[ErrorMetrics], closed: Sequence[ClosedForm | None] = ()
) -> None:
    """The table of error metrics, designs side by side, under each mean its closed form where there is one."""
    rows = table("error metrics", *labels)
    rows.add_row("operands", *(_operands(m) for m in metrics))
    rows.add_row("P_max of NMED", *(_exact(m.p_max) for m in metrics))
    for title, name in _MEANS:
        rows.add_row(title, *(format_estimate(getattr(m, name)) for m in metrics))
        if any(form is not None for form in closed):
            exact = (None if form is None else getattr(form, name) for form in closed)
            rows.add_row("  closed form", *("" if value is None else _exact(value) for value in exact))
    rows.add_row("error rate", *(format_rate(m.error_rate) for m in metrics))
    rows.add_row("larger than exact", *(format_rate(m.larger) for m in metrics))
    rows.add_row("|error|, worst", *(f"{_exact(m.worst_case)} at {_pair(m.worst_case_at)}" for m in metrics))
    for q in _SHOWN_QUANTILES:
        rows.add_row(f"|error|, {100 * q:g} % quantile", *(significant(m.quantiles[q]) for m in metrics))
    rows.add_row(
        "|relative|, worst",
        *(f"{_exact(m.worst_relative)} at {_pair(m.worst_relative_at)}" for m in metrics),
    )
    for q in _SHOWN_QUANTILES:
        rows.add_row(f"|relative|, {100 * q:g} % quantile", *(significant(m.relative_quantiles[q]) for m in metrics))
    if any(m.not_finite for m in metrics):
        rows.add_row("results not finite", *(str(m.not_finite) for m in metrics))
    out.print(rows)
    out.print("±: 95 % confidence interval; relative: error / exact product.")
    for label, errors in zip(labels, metrics, strict=True):
        for note in _without_interval(errors):
            out.print(f"{label}: {note}")
    out.print()


def _without_interval(errors: ErrorMetrics) -> Iterator[str]:
    """Says of every mean that is shown without an interval how many operand pairs one needs."""
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


def _exact(value: float) -> str:
    """A number that no sampling error blurs: an exhaustive mean, a closed form, an extreme, a cost."""
    return significant(value, 6, padded=False)


def format_estimate(estimate: Estimate) -> str:
    """ "0.38630 ±0.00055": the interval to two digits, the value as far as it carries but to three digits at least;
    "0.386 ±-" where the sample gives no interval."""
    value, half = estimate.value, estimate.half_width
    if not math.isfinite(value):
        return str(value)
    if not estimate.has_interval:
        return f"{significant(value)} ±-"
    if half == 0:
        return _exact(value)
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
