"""`designs`: the named designs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from circuits.designs.named_designs import NAMED
from circuits.support.cli import add_format, console, print_csv, print_json, table

if TYPE_CHECKING:
    from circuits.commands.common import Commands


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser("designs", help="list the named designs", description="The named designs.")
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the list."""
    rows = []
    for name, entry in NAMED.items():
        rows.append({"name": name, "label": entry.label, **entry.describe(), "digest": entry.digest})
    if arguments.format == "json":
        print_json({"designs": rows})
    elif arguments.format == "csv":
        print_csv(list(rows[0]), rows)
    else:
        shown = table("design", "topology", "cells", "A,B,Cin", "tile", "rounding", "normalize")
        for row, entry in zip(rows, NAMED.values(), strict=True):
            tile = "none" if entry.tile is None else f"{entry.tile} x {entry.tile}"
            shown.add_row(
                row["label"],
                entry.topology,
                entry.placement.describe().removesuffix(" everywhere"),
                ",".join(entry.ports),
                tile,
                entry.rounding,
                entry.normalization,
            )
        out = console()
        out.print(shown)
        out.print("\np, s, c: partial product, running sum, carry. `show NAME` prints the whole definition.")
    return 0
