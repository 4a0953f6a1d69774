"""Plots of a stored run, `python -m dse.plot RUN`: the fronts again, or any other pair of columns."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from circuits.errors import DesignError
from circuits.support.cli import Commands, run_alone, say
from circuits.support.files import require_writable
from circuits.support.options import add_out
from dse.explore.stored_runs import open_store, require_result
from dse.present.artifacts import write_plots
from dse.results import add_store
from dse.score.scorer_choice import objectives
from dse.score.scorers import COLUMNS

__all__ = ["main", "register", "run"]


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "plot",
        help="write the plots of a stored run",
        description="Writes the Pareto plots of a finished run, PNG and SVG, from its store.",
    )
    parser.add_argument("name", metavar="RUN", help='beginning of the run\'s identifier, or "last"')
    parser.add_argument(
        "--columns", metavar="X,Y,...", help=f"every pair of these: {', '.join(COLUMNS)} (default: the objectives)"
    )
    add_store(parser)
    add_out(parser, "DIR", default=Path(), help="folder to write")
    parser.set_defaults(run=run)


def main(argv: Sequence[str] | None = None) -> int:
    """The command as a program of its own; returns the exit status."""
    return run_alone(argv, register, prog="python -m dse.plot")


def run(arguments: argparse.Namespace) -> int:
    """Writes the plots and prints their names."""
    with open_store(arguments.store) as store:
        result = require_result(store, arguments.name)
    columns = result.objectives
    if arguments.columns is not None:
        names = [name.strip() for name in arguments.columns.split(",") if name.strip()]
        columns = objectives(names, result.columns)
    if len(columns) < 2:
        raise DesignError(f"a plot needs two columns, but got {len(columns)}; give --columns X,Y.")
    require_writable(arguments.out)
    names = [column.name for column in columns]
    # Of designs that are not on the front only the objectives' scores are sure to be there.
    kept = tuple(row for row in result.rows if all(name in row.scores for name in names))
    for name in write_plots(arguments.out, replace(result, rows=kept), columns):
        say(str(arguments.out / name))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
