"""`draw`: the array of a design with its cells coloured."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from circuits.commands.common import DESIGN_HELP, add_cells, user_cells
from circuits.designs.named_designs import find_design
from circuits.support.cli import say

if TYPE_CHECKING:
    from circuits.commands.common import Commands


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "draw",
        help="draw the array with its cells coloured",
        description="Draws which cell stands where: a row a bit of the first operand, a column a product column, the "
        "most significant on the left.",
    )
    parser.add_argument("design", metavar="DESIGN", help=DESIGN_HELP)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", required=True, help="a .png or .svg file")
    add_cells(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Writes the picture."""
    from circuits.drawing.array_drawing import save_drawing

    design = find_design(arguments.design, user_cells(arguments))
    save_drawing(design, arguments.output)
    say(f"{arguments.output}: {design.label}")
    return 0
