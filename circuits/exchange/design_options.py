"""The designs of a command line, and the cells that they may use."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from circuits.cells.adder_cells import AdderCell, load_cells

DESIGN_HELP = (
    "a named design (see `designs`), CELL_array for a ripple array of one cell, a topology with fields and options, "
    "drum:width:8:k:4 (see `topologies`), or a .toml file"
)


def user_cells(arguments: argparse.Namespace) -> Mapping[str, AdderCell]:
    """The cells of --cells, by name."""
    return load_cells(arguments.cells) if arguments.cells else {}
