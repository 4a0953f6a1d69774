"""`cells`: the cell library and a user's own cells."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from circuits.cells import CELLS, AdderCell
from circuits.cli import add_format, console, print_csv, print_json, table
from circuits.commands.common import add_cells, user_cells
from circuits.technology import technology

if TYPE_CHECKING:
    from circuits.commands.common import Commands


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "cells",
        help="list the adder cells",
        description="Adder cells: truth tables and errors for rows A B Cin = 000 001 ... 111, transistors, source.",
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
    shown = table("cell", "sum", "carry", "error per row", "wrong S/Co", "transistors", right=["transistors"])
    sources = table("cell", "source")
    for row in rows:
        errors = " ".join(f"{error:+d}" if error else " 0" for error in row["errors"])
        count = f"~{row['transistors']}" if row["transistors_estimated"] else str(row["transistors"])
        wrong = f"{row['wrong_sum']}/{row['wrong_carry']}"
        shown.add_row(row["name"], row["sum"], row["carry"], errors, wrong, count)
        sources.add_row(row["name"], row["source"] or "none given")
    out = console()
    out.print(shown)
    out.print("\nRows A B Cin = 000 001 ... 111; error = 2 Co + S - (A + B + Cin); ~ marks an estimated count.\n")
    out.print(sources)
    return 0


def _row(cell: AdderCell) -> dict[str, Any]:
    exact = CELLS["exact"]
    cost = technology().cost_of(cell)
    return {
        "name": cell.name,
        "sum": cell.sum,
        "carry": cell.carry,
        "errors": list(cell.errors),
        "wrong_sum": sum(a != b for a, b in zip(cell.sum, exact.sum, strict=True)),
        "wrong_carry": sum(a != b for a, b in zip(cell.carry, exact.carry, strict=True)),
        "transistors": cost.transistors,
        "transistors_estimated": cost.estimated,
        "delay_ps": cell.delay_ps,
        "energy_fj": cell.energy_fj,
        "area_um2": cell.area_um2,
        "source": cell.source,
    }
