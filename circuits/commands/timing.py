"""`timing`: the critical path of a design, cell by cell."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from circuits.cost import CORNERS, Step, netlist_area, technology, true_timing
from circuits.cost.circuit import INPUT_SLEW, OUTPUT_LOAD
from circuits.cost.true_paths.proof_budget import TRIES, WORK
from circuits.exchange.design_files import find_design
from circuits.exchange.design_options import DESIGN_HELP, user_cells
from circuits.netlists.simplification import simplify
from circuits.support.cli import Commands, console, integer, print_csv, print_json, table
from circuits.support.options import add_cells, add_format


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "timing",
        help="the critical path, cell by cell",
        description="Static timing analysis at 45 nm: the longest path that operands can sensitise, cell by cell; "
        "what is proved about longer ones; and the longest path of the graph, which may be false.",
    )
    parser.add_argument("design", metavar="DESIGN", help=DESIGN_HELP)
    add_cells(parser)
    parser.add_argument(
        "--simplified",
        action="store_true",
        help="analyse the simplified netlist instead of the one as drawn (unoptimised)",
    )
    parser.add_argument(
        "--whole", action="store_true", help="analyse the complete float multiplier (default: mantissa multiplier)"
    )
    parser.add_argument("--corner", choices=CORNERS, default="nom", help="typical, slow or fast transistors")
    parser.add_argument(
        "--effort",
        type=integer(1, 1000),
        default=1,
        metavar="N",
        help="multiple of the default budget for search and proof",
    )
    add_format(parser)
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class _Line:
    """A line of the path."""

    cell: str
    place: str
    arc: str
    edge: str
    load: float
    slew: float
    delay: float
    arrival: float


def run(arguments: argparse.Namespace) -> int:
    """Prints the path."""
    design = find_design(arguments.design, user_cells(arguments))
    netlist = design.netlist()
    if arguments.whole:
        from circuits.floats.float_netlist import float_netlist

        netlist = float_netlist(design)
    if arguments.simplified:
        netlist = simplify(netlist)
    cost_data = technology(arguments.corner)
    timing = true_timing(netlist, cost_data, tries=TRIES * arguments.effort, work=WORK * arguments.effort)
    estimated = set(netlist_area(netlist, cost_data).estimated)
    lines = _lines(timing.path, estimated)
    operands = dict(zip(netlist.inputs, timing.operands, strict=True))
    before = dict(zip(netlist.inputs, timing.before, strict=True))
    conditions = {
        "design": design.label,
        "scope": "whole float multiplier" if arguments.whole else "mantissa multiplier",
        "view": "simplified" if arguments.simplified else "as drawn",
        "technology": cost_data.note,
        "delay_ps": timing.delay,
        "bound_ps": timing.bound,
        "exact": timing.exact,
        "structural_ps": timing.structural.delay,
        "simulated_ps": timing.simulated,
        "operands": operands,
        "before": before,
        "estimated": sorted(estimated),
    }
    if arguments.format == "json":
        print_json({**conditions, "path": [_record(line) for line in lines]})
        return 0
    if arguments.format == "csv":
        print_csv(["cell", "place", "arc", "edge", "load_fF", "slew_ps", "delay_ps", "arrival_ps"], map(_record, lines))
        return 0
    path = table(
        "cell", "place", "arc", "edge", "load fF", "slew ps", "delay ps", "arrival ps",
        keys=2, right=("load fF", "slew ps", "delay ps", "arrival ps"),
    )  # fmt: skip
    for line in lines:
        numbers = (f"{value:.1f}" for value in (line.load, line.slew, line.delay, line.arrival))
        path.add_row(line.cell, line.place, line.arc, line.edge, *numbers)
    out = console()
    out.print(f"{conditions['design']}, {conditions['scope']}, {conditions['view']}: {timing.delay:.1f} ps\n")
    out.print(path)
    if timing.exact:
        proved = f"Proved: no true path is longer than these {timing.delay:.1f} ps"
    else:
        proved = (
            f"A true path of {timing.delay:.1f} ps; proved: none is longer than {timing.bound:.1f} ps (--effort "
            f"{2 * arguments.effort} searches on)"
        )
    if lines or not timing.exact:
        out.print(
            f"\n{proved}. The longest path of the graph, true or not: {timing.structural.delay:.1f} ps. "
            f"Operands {_written(operands)} take the path; arc-delay simulation settles at them after "
            f"{timing.simulated:.1f} ps, from {_written(before)}."
        )
    else:
        out.print(
            f"\nNo operand changes an output through a cell. The longest path of the graph, true or not: "
            f"{timing.structural.delay:.1f} ps."
        )
    out.print(
        f"{cost_data.note}. Place: (row, column). Inputs arrive at 0 with a ramp of {INPUT_SLEW:g} ps; outputs drive "
        f"{OUTPUT_LOAD:g} fF; wires have no capacitance. True: viable in floating mode."
    )
    if estimated:
        out.print(f"~: estimated, not characterised: {', '.join(sorted(estimated))}.")
    return 0


def _written(operands: dict[str, int]) -> str:
    return ", ".join(f"{bus} = {value:#x}" for bus, value in operands.items())


def _lines(path: tuple[Step, ...], estimated: set[str]) -> list[_Line]:
    lines = []
    for step in path:
        name, place = step.instance.component.name, step.instance.place
        lines.append(
            _Line(
                f"~{name}" if name in estimated else name,
                "" if place is None else f"({place[0]}, {place[1]})",
                f"{step.pin} -> {step.port}",
                step.edge,
                step.load,
                step.slew,
                step.delay,
                step.arrival,
            )
        )
    return lines


def _record(line: _Line) -> dict[str, Any]:
    return {
        "cell": line.cell,
        "place": line.place,
        "arc": line.arc,
        "edge": line.edge,
        "load_fF": round(line.load, 3),
        "slew_ps": round(line.slew, 2),
        "delay_ps": round(line.delay, 2),
        "arrival_ps": round(line.arrival, 2),
    }
