"""`show`: definition, error metrics and cost of designs, side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuits.accuracy.bilinear import BilinearForm, design_form
from circuits.accuracy.error_types import ErrorMetrics
from circuits.accuracy.measurement import error_metrics
from circuits.accuracy.sampling import DISTRIBUTIONS, METHODS
from circuits.accuracy.sampling import MAXIMUM_SAMPLES as MAXIMUM_PAIRS
from circuits.commands.common import DESIGN_HELP, add_cells, user_cells
from circuits.commands.error_table import plain_number, print_errors, tidy_errors
from circuits.commands.operands import read_operands
from circuits.cost import GLITCHES
from circuits.cost.cost_model import ACTIVITIES, EXACT, MAXIMUM_SAMPLES, OWN_TOPOLOGY, CostReport, cost_report
from circuits.designs.design_record import Design
from circuits.designs.headings import side_by_side
from circuits.designs.named_designs import find_designs
from circuits.support.cli import add_format, console, integer, print_csv, print_json, table
from circuits.support.numbers import significant

if TYPE_CHECKING:
    from circuits.commands.common import Commands

_SIDE_BY_SIDE = 4


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
    designs = find_designs(arguments.designs, cells)
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


def _form(form: BilinearForm | None) -> str:
    return "none proved" if form is None else form.describe()


def _print_tables(found: list[Found]) -> None:
    out = console()
    labels = [design.label for design, *_ in found]

    definition = table("definition", *labels)
    for name, texts in side_by_side([design.describe() for design, *_ in found]).items():
        definition.add_row(name, *texts)
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
            shown.add_row(heading, *(plain_number(getattr(getattr(c, view), name)) for c in costs))
        for baseline, short in ((EXACT, "exact"), (OWN_TOPOLOGY, "own topology")):
            for name in ("transistors", "area", "energy", "delay"):
                ratios = (c.ratio(name, baseline=baseline, view=view) for c in costs)
                shown.add_row(f"  {name} / {short}", *("undefined" if r != r else significant(r) for r in ratios))
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
