"""`cells`: the cell library and a user's own cells."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from circuits.cells.adder_cells import CELLS, AdderCell
from circuits.cost import technology
from circuits.exchange.design_options import user_cells
from circuits.support.cli import Commands, console, print_csv, print_json, table
from circuits.support.options import add_cells, add_format

_LOAD = 5.0
"""fF, the load at which delays and energies are shown: a mirror adder's input."""


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "cells",
        help="list the adder cells",
        description="Lists the adder cells: truth tables and errors for rows A B Cin = 000 001 ... 111, cost, source.",
    )
    add_cells(parser)
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the library, then the user's cells."""
    rows = [_row(cell) for cell in (*CELLS.values(), *user_cells(arguments).values())]
    if arguments.format == "json":
        print_json({"rows": [f"{r:03b}" for r in range(8)], "cells": rows})
        return 0
    if arguments.format == "csv":
        flat = [{**row, "errors": " ".join(f"{e:+d}" if e else "0" for e in row["errors"])} for row in rows]
        print_csv(list(rows[0]), flat)
        return 0
    numbers = ("T", "um^2", "ps", "fJ")
    listing = table("cell", "sum", "carry", "error per row", "wrong", *numbers, right=numbers)
    sources = table("cell", "source")
    for row in rows:
        errors = " ".join(f"{error:+d}" if error else " 0" for error in row["errors"])
        count = f"~{row['transistors']}" if row["transistors_estimated"] else str(row["transistors"])
        wrong = f"{row['wrong_sum']}/{row['wrong_carry']}"
        mark = "~" if row["estimated"] else ""
        costs = (f"{mark}{row[key]:.3g}" for key in ("area_um2", "delay_ps", "energy_fj"))
        listing.add_row(row["name"], row["sum"], row["carry"], errors, wrong, count, *costs)
        sources.add_row(row["name"], row["source"] or "none given")
    out = console()
    cost_data = technology()
    out.print(listing)
    out.print("\nRows A B Cin = 000 001 ... 111; error = 2 Co + S - (A + B + Cin); wrong: rows with wrong S/Co.")
    out.print(
        f"T: transistors; ps: slowest arc; fJ: inside, an output transition; both at {cost_data.slews[0]:g} ps and "
        f"{_LOAD:g} fF, {cost_data.note}. ~: estimated. Counts are as published; where that is a pass-transistor "
        f"circuit or lacks output inverters, um^2, ps and fJ are those of static CMOS with restored outputs.\n"
    )
    out.print(sources)
    return 0


def _row(cell: AdderCell) -> dict[str, Any]:
    exact = CELLS["exact"]
    cost_data = technology()
    cost = cost_data.cost_of(cell)
    at = int(np.argmin(np.abs(cost_data.loads - _LOAD)))
    delays = cost.delay[..., 0, at]
    changes = (~np.isnan(delays)).sum(axis=2)
    # A cell of constants has no arcs.
    worst = float(np.nanmax(delays)) if changes.any() else 0.0
    energy = float(cost.energy[..., 0, at][changes > 0].sum() / changes.sum()) if changes.any() else 0.0
    return {
        "name": cell.name,
        "sum": cell.sum,
        "carry": cell.carry,
        "errors": list(cell.errors),
        "wrong_sum": sum(a != b for a, b in zip(cell.sum, exact.sum, strict=True)),
        "wrong_carry": sum(a != b for a, b in zip(cell.carry, exact.carry, strict=True)),
        "transistors": cost.transistors,
        "transistors_estimated": cost.estimated and cell.transistors is None,
        "delay_ps": round(worst, 2),
        "energy_fj": round(energy, 4),
        "area_um2": round(cost.area, 3),
        "estimated": cost.estimated,
        "source": cell.source,
    }
