"""`draw`: the array of a design with its cells coloured."""

from __future__ import annotations

import argparse

from circuits.exchange.design_files import find_design
from circuits.exchange.design_options import DESIGN_HELP, user_cells
from circuits.support.cli import Commands, say
from circuits.support.options import add_cells, add_out


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "draw",
        help="draw the array with its cells coloured",
        description="Draws which cell stands where: one row for each bit of the first operand, one column for each "
        "product column, the most significant on the left.",
    )
    parser.add_argument("design", metavar="DESIGN", help=DESIGN_HELP)
    add_out(parser, help="picture to write, .png or .svg", required=True)
    add_cells(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Writes the picture."""
    from circuits.drawing.array_drawing import save_drawing

    design = find_design(arguments.design, user_cells(arguments))
    save_drawing(design, arguments.out)
    say(f"{arguments.out}: {design.label}")
    return 0
