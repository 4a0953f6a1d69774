"""`compressors`: the library of 4:2 compressors and a user's own."""

from __future__ import annotations

import argparse
from typing import Any

from circuits.cells.compressors import COMPRESSORS, Compressor, load_compressors
from circuits.support.cli import Commands, console, print_csv, print_json, table
from circuits.support.options import add_cells, add_format


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "compressors",
        help="list the 4:2 compressors",
        description="Lists the 4:2 compressors: truth tables for rows x1 x2 x3 x4 (Cin) = 0000(0) ... 1111(1), wrong "
        "rows, errors and sources.",
    )
    add_cells(parser)
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the library, then the user's compressors."""
    own = load_compressors(arguments.cells) if arguments.cells else {}
    rows = [_row(entry) for entry in (*COMPRESSORS.values(), *own.values())]
    if arguments.format == "json":
        print_json({"compressors": rows})
        return 0
    if arguments.format == "csv":
        print_csv(list(rows[0]), rows)
        return 0
    listing = table("compressor", "sum", "carry", "Cout", "wrong", "errors")
    sources = table("compressor", "source")
    for row in rows:
        wrong = f"{row['wrong']} of {row['rows']}"
        errors = f"{row['least']:+d} to {row['greatest']:+d}" if row["wrong"] else "none"
        listing.add_row(row["name"], row["sum"], row["carry"], row["cout"] or "none", wrong, errors)
        sources.add_row(row["name"], row["source"] or "none given")
    out = console()
    out.print(listing)
    out.print(
        "\nRows x1 x2 x3 x4 = 0000 ... 1111, with a chain x1 x2 x3 x4 Cin; error = sum + 2 (carry + Cout) - ones.\n"
    )
    out.print(sources)
    return 0


def _row(entry: Compressor) -> dict[str, Any]:
    errors = entry.errors
    return {
        "name": entry.name,
        "sum": entry.sum,
        "carry": entry.carry,
        "cout": entry.cout,
        "rows": len(errors),
        "wrong": sum(map(bool, errors)),
        "least": min(errors),
        "greatest": max(errors),
        "source": entry.source,
    }
