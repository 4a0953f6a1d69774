"""The folder of committed results and the command-line option that selects it."""

from __future__ import annotations

from pathlib import Path

from circuits.support.cli import Parser

COMMITTED = Path(__file__).parent.parent / "results"
"""Folder with one subfolder per level, each with one file per study."""


def add_store(parser: Parser) -> None:
    """Adds the option --store, the folder of the committed results."""
    parser.add_argument("--store", type=Path, metavar="PATH", default=COMMITTED, help="folder of the committed results")
