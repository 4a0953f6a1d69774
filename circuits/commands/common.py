"""Options and small things that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from circuits.cells.adder_cells import AdderCell, load_cells

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    Commands = _SubParsersAction[argparse.ArgumentParser]

DESIGN_HELP = "a named design (see `designs`), CELL_array for a ripple array of one cell, or a .toml file"


def add_cells(parser: argparse.ArgumentParser) -> None:
    """The option --cells."""
    parser.add_argument(
        "--cells", type=Path, metavar="FILE", help="a TOML file of your own cells, [cells.NAME] (default: none)"
    )


def user_cells(arguments: argparse.Namespace) -> Mapping[str, AdderCell]:
    """The cells of --cells, by name."""
    return load_cells(arguments.cells) if arguments.cells else {}
