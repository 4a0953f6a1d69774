"""The comparison, `python -m dse.compare A B ...`: definitions, error, cost, accuracy and transfer side by side."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from circuits.designs.named_designs import NAMED
from circuits.exchange.design_options import user_cells
from circuits.support.cli import Commands, run_alone
from circuits.support.options import add_cells, add_cpu_features, add_format, add_workers
from dse.explore.design_comparison import (
    compare_designs,
    comparison_candidates,
    comparison_scorers,
    comparison_settings,
    comparison_subjects,
)
from dse.present.comparison_table import print_comparison
from dse.score.executor import available_cpus
from dse.score.score_options import add_network, add_scorer, score_settings

__all__ = ["main", "register", "run"]


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "compare",
        help="error, cost, accuracy and transfer, side by side",
        description="Prints designs side by side: definition, error, cost, accuracy and transfer.",
    )
    parser.add_argument(
        "designs",
        nargs="+",
        metavar="DESIGN",
        help=f"named design ({', '.join(NAMED)}), CELL_array for a ripple array of one cell, a .toml file, or a design "
        "for each layer: LAYER=DESIGN,LAYER=DESIGN (the other layers stay exact)",
    )
    add_cells(parser)
    add_network(parser)
    add_cpu_features(parser)
    add_workers(parser)
    add_scorer(parser)
    add_format(parser)
    parser.set_defaults(run=run)


def main(argv: Sequence[str] | None = None) -> int:
    """The command as a program of its own; returns the exit status."""
    return run_alone(argv, register, prog="python -m dse.compare")


def run(arguments: argparse.Namespace) -> int:
    """Scores the designs and prints them side by side."""
    # A misspelled design is found before the network is loaded.
    subjects = comparison_subjects(arguments.designs, user_cells(arguments))
    settings = score_settings(arguments)
    designs = comparison_candidates(subjects, settings)
    settings = comparison_settings(designs, settings)
    scorers = comparison_scorers(arguments.scorer or (), settings)
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
