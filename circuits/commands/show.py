"""`show`: definition, error metrics and cost of designs, side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from circuits.accuracy.bilinear import BilinearForm, design_form
from circuits.accuracy.error_types import ErrorMetrics
from circuits.accuracy.measurement import error_metrics
from circuits.commands.error_table import SIDE_BY_SIDE, cost_heading, plain_number, print_errors, tidy_errors
from circuits.commands.operands import add_cost_samples, add_distribution, add_pairs, read_operands
from circuits.cost import GLITCHES
from circuits.cost.cost_model import ACTIVITIES, EXACT, LEFT_OUT, OWN_TOPOLOGY, UNITS, CostReport, cost_report
from circuits.cost.left_out import LeftOut, left_out
from circuits.designs.design_record import Design
from circuits.designs.headings import side_by_side
from circuits.engine.matrix_products.product_methods import choose_method, refusals
from circuits.errors import UnknownCostError
from circuits.exchange.design_files import find_designs
from circuits.exchange.design_options import DESIGN_HELP, user_cells
from circuits.support.cli import Commands, console, print_csv, print_json, table
from circuits.support.numbers import significant
from circuits.support.options import add_cells, add_format, add_seed, add_wire

if TYPE_CHECKING:
    from rich.console import Console


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "show",
        help="definition, error metrics and cost, side by side",
        description="Prints the exact definition of designs, their error metrics and their cost, side by side.",
    )
    parser.add_argument("designs", nargs="+", metavar="DESIGN", help=DESIGN_HELP)
    add_cells(parser)
    add_pairs(parser, all_of="of integer designs up to 20 bits")
    add_seed(parser, help="seed of the operands")
    add_distribution(parser)
    add_cost_samples(parser)
    parser.add_argument(
        "--glitches",
        choices=GLITCHES,
        default="none",
        help="switching activity: zero-delay simulation, or event-driven with the delay of every arc, which includes "
        "glitches (slower)",
    )
    parser.add_argument(
        "--cost-operands",
        type=Path,
        metavar="FILE",
        help="compute energy over the consecutive operand pairs of this .npz file, arrays x and w (default: random)",
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="cost of the complete float multiplier, exponents included (default: mantissa multiplier)",
    )
    add_wire(parser)
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the designs."""
    cells = user_cells(arguments)
    designs = find_designs(arguments.designs, cells)
    trace = None if arguments.cost_operands is None else read_operands(arguments.cost_operands)
    results = []
    for design in designs:
        errors = error_metrics(
            design,
            samples=arguments.samples,
            seed=arguments.seed,
            distribution=arguments.distribution,
            method=arguments.method,
        )
        cost: CostReport | None
        added: LeftOut | None
        conditions: dict[str, Any] = {"glitches": arguments.glitches, "whole": arguments.whole, "operands": trace}
        conditions |= {"samples": arguments.cost_samples, "seed": arguments.seed}
        try:
            cost = cost_report(design, **conditions)
            added = left_out(design, wire=arguments.wire, **conditions)
        except UnknownCostError:
            cost, added = None, None
        results.append(Result(design, design_form(design), errors, cost, added))
    if arguments.format == "json":
        print_json({"designs": [_record(*result) for result in results]})
    elif arguments.format == "csv":
        rows = [row for result in results for row in _tidy(*result)]
        print_csv(["design", "group", "quantity", "value", "low", "high", "unit", "note"], rows)
    else:
        for start in range(0, len(results), SIDE_BY_SIDE):
            _print_tables(results[start : start + SIDE_BY_SIDE])
    return 0


class Result(NamedTuple):
    """What is printed about one design."""

    design: Design
    form: BilinearForm | None
    errors: ErrorMetrics
    cost: CostReport | None
    """None where it is not known."""
    left_out: LeftOut | None
    """What drivers and wires would add; None where the cost is not known."""


def _record(
    design: Design,
    form: BilinearForm | None,
    errors: ErrorMetrics,
    cost: CostReport | None,
    added: LeftOut | None,
) -> dict[str, Any]:
    return {
        "design": design.label,
        "definition": {**design.describe(), "digest": design.digest},
        "matrix_products": {"method": choose_method(design), "refused": refusals(design)},
        "bilinear": None if form is None else {"form": str(form), "rank": form.rank, "proof": form.proof},
        "errors": errors.to_dict(),
        "cost": None if cost is None else cost.to_dict(),
        "left_out": None if added is None else added.to_dict(),
    }


def _tidy(
    design: Design,
    form: BilinearForm | None,
    errors: ErrorMetrics,
    cost: CostReport | None,
    added: LeftOut | None,
) -> list[dict[str, Any]]:
    """One row for each quantity."""
    rows: list[dict[str, Any]] = []

    def add(group: str, quantity: str, value: Any, unit: str = "", note: str = "", **interval: Any) -> None:
        row = {"design": design.label, "group": group, "quantity": quantity, "value": value, "unit": unit, "note": note}
        rows.append({**row, **interval})

    for name, text in {**design.describe(), "digest": design.digest}.items():
        add("definition", name, text)
    add("definition", "bilinear", _form(form))
    add("definition", "matrix products", choose_method(design), note=_refusals(design))
    for quantity in tidy_errors(errors):
        add("errors", **quantity)
    if cost is None:
        return rows
    for view in ("drawn", "simplified"):
        for name, unit in UNITS.items():
            add(f"cost {view}", name, cost.value(view, name), unit, cost.note)
    for baseline, views in cost.to_dict()["ratios"].items():
        for view, measures in views.items():
            for name, value in measures.items():
                add(f"cost {view}", f"{name} / {baseline}", value, "ratio", cost.note)
    for what, unit, value, ratio in added.rows() if added is not None else ():
        add("left out of cost drawn", what, value, unit, cost.note)
        add("left out of cost drawn", f"{what} / {EXACT}", None if ratio != ratio else ratio, "ratio", cost.note)
    return rows


def _form(form: BilinearForm | None) -> str:
    return "none proved" if form is None else form.describe()


def _refusals(design: Design) -> str:
    """Which methods of matrix products do not serve the design, and why; "" if all do."""
    return "; ".join(f"{method} {reason}" for method, reason in refusals(design).items())


def _print_tables(results: list[Result]) -> None:
    out = console()
    labels = [result.design.label for result in results]

    definition = table("definition", *labels)
    for name, texts in side_by_side([result.design.describe() for result in results]).items():
        definition.add_row(name, *texts)
    definition.add_row("bilinear", *(_form(result.form) for result in results))
    definition.add_row("matrix products", *(choose_method(result.design) for result in results))
    definition.add_row("digest", *(result.design.digest[:16] for result in results))
    out.print(definition)
    for result in results:
        if reasons := _refusals(result.design):
            method = choose_method(result.design)
            out.print(f"{result.design.label}: matrix products by method {method}, because {reasons}.")
    out.print()

    print_errors(out, labels, [result.errors for result in results])

    unknown = [result.design.label for result in results if result.cost is None]
    if unknown:
        out.print(f"Cost not known of {', '.join(unknown)}: a product table has no circuit.")
    labels = [result.design.label for result in results if result.cost is not None]
    costs = [result.cost for result in results if result.cost is not None]
    if not costs:
        out.print()
        return
    costs_table = table(
        "cost at 45 nm", *(f"~{label}" if cost.estimated else label for label, cost in zip(labels, costs, strict=True))
    )
    for view, title in (("drawn", "as drawn"), ("simplified", "simplified")):
        costs_table.add_row(title)
        for name in UNITS:
            costs_table.add_row(cost_heading(name), *(plain_number(c.value(view, name)) for c in costs))
        for baseline, short in ((EXACT, "exact"), (OWN_TOPOLOGY, "own topology")):
            for name in ("transistors", "area", "energy", "delay"):
                ratios = (c.ratio(name, baseline=baseline, view=view) for c in costs)
                costs_table.add_row(f"  {name} / {short}", *("undefined" if r != r else significant(r) for r in ratios))
    out.print(costs_table)
    _print_left_out(out, labels, [result.left_out for result in results if result.left_out is not None])
    first = costs[0]
    scope = "Whole float multiplier" if first.whole else "Mantissa multiplier only"
    out.print(
        f"{scope}, {first.conditions}. Energy: {ACTIVITIES[first.glitches]}, {first.samples} operands, leakage over "
        f"one delay included; {LEFT_OUT}. / exact: over the exact ripple array of the same width; / own topology: over "
        "exact cells in the design's own topology."
    )
    estimated = sorted({name for cost in costs for name in cost.estimated})
    if estimated:
        out.print(f"~: cost partly estimated, not characterised, for {', '.join(estimated)}.")
    out.print()


def _print_left_out(out: Console, labels: list[str], added: list[LeftOut]) -> None:
    """Prints how far drivers and wires would move energy and delay, which contain neither."""
    listing = table("left out, as drawn", *labels)
    for lines in zip(*(each.rows() for each in added), strict=True):
        quantity, unit, *_ = lines[0]
        listing.add_row(f"{quantity}, {unit}", *(plain_number(value) for _, _, value, _ in lines))
        listing.add_row("  / exact", *("undefined" if ratio != ratio else significant(ratio) for *_, ratio in lines))
    out.print(listing)
