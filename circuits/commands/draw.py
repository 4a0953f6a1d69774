"""`draw`: a design with its cells coloured: an array, a tree by stages, or a schematic by levels."""

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
        help="draw the array, tree or circuit with its cells coloured",
        description="Draws which cell stands where in an array, which bits each cell of a tree takes in every stage, "
        "or the gates of any circuit by levels.",
    )
    parser.add_argument("design", metavar="DESIGN", help=DESIGN_HELP)
    add_out(parser, help="picture to write, .png or .svg", required=True)
    parser.add_argument(
        "--view",
        choices=("auto", "places", "stages", "levels"),
        default="auto",
        help="places: an array, the most significant product column on the left; stages: the dot diagram of a tree; "
        "levels: a schematic of gates; auto: what suits the design",
    )
    add_cells(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Writes the picture."""
    from circuits.drawing.design_drawing import save_drawing

    design = find_design(arguments.design, user_cells(arguments))
    save_drawing(design, arguments.out, arguments.view)
    say(f"{arguments.out}: {design.label}")
    return 0
