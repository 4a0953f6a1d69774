"""The folder of the committed results."""

from __future__ import annotations

from pathlib import Path

from circuits.support.cli import Parser

COMMITTED = Path(__file__).parent.parent / "results"
"""A folder for each level, with one file for each study."""


def add_store(parser: Parser) -> None:
    """The option --store: the folder of the committed results."""
    parser.add_argument("--store", type=Path, metavar="PATH", default=COMMITTED, help="folder of the committed results")
