"""The comparison, `python -m dse.compare A B ...`: definitions, error, cost, accuracy and transfer side by side."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from circuits.commands.common import add_cells, user_cells
from circuits.designs.named_designs import NAMED, find_designs
from circuits.support.cli import FORMATS, Parser, guarded, integer
from dse.explore.design_comparison import compare_designs, comparison_scorers
from dse.present.comparison_table import print_comparison
from dse.score.executor import available_cpus
from dse.score.scorers.evaluation_data import EMBEDDED_IMAGES
from dse.score.scorers.scorer import ScoreSettings

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    default = ScoreSettings()
    parser = Parser(
        prog="python -m dse.compare",
        description="Prints designs side by side: definition, error, cost, accuracy and transfer.",
    )
    parser.add_argument(
        "designs",
        nargs="+",
        metavar="DESIGN",
        help=f"named design ({', '.join(NAMED)}), CELL_array for a ripple array of one cell, or a .toml file",
    )
    add_cells(parser)
    parser.add_argument(
        "--images",
        type=integer(1, EMBEDDED_IMAGES),
        default=default.images,
        help=f"test images that accuracy is measured on, at most {EMBEDDED_IMAGES}",
    )
    parser.add_argument(
        "--workers",
        type=integer(1, 1024),
        help="processes that score designs; never changes the result (default: one for each CPU)",
    )
    parser.add_argument(
        "--scorer", action="append", metavar="MODULE:NAME", help="a scorer of yours, package.module:NAME; repeatable"
    )
    parser.add_argument("--format", choices=FORMATS, default="table", help="how to print")
    arguments = parser.parse_args(argv)
    return guarded(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    designs = find_designs(arguments.designs, user_cells(arguments))
    settings = ScoreSettings(images=arguments.images)
    scorers = comparison_scorers(arguments.scorer or ())
    rows = compare_designs(
        designs,
        settings=settings,
        scorers=arguments.scorer or (),
        workers=arguments.workers or available_cpus(),
        progress=True,
    )
    print_comparison(rows, scorers, settings, format=arguments.format)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
