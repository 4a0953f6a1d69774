"""Command line: published tables and figures, and studies of our own, one command each."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

from circuits.cli import Parser, guarded
from circuits.errors import unknown_name
from studies import STUDIES
from studies.study import LEVELS, StudyOptions, StudyResult


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(prog="python -m studies", description="Published tables and figures, published beside measured.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="the studies, a line each")
    listing.set_defaults(run=_list)
    running = commands.add_parser("run", help="run studies and print their tables")
    running.set_defaults(run=_run)
    running.add_argument("names", nargs="+", metavar="NAME", help="studies to run, or all")
    for level in ("quick", "full"):
        text = {
            "quick": "at most 90 seconds a study on 2 cores, embedded data",
            "full": "as large as the paper's, on fetched data",
        }[level]
        running.add_argument(f"--{level}", dest="level", action="store_const", const=level, help=text)
    running.add_argument("--out", type=Path, default=Path("runs/studies"), help="folder for NAME.json and NAME.csv")
    running.add_argument(
        "--folder", type=Path, help="where the files of the full data sets lie (default: the user's cache)"
    )
    running.add_argument(
        "--models", type=Path, metavar="DIR", help="transistor models: cost_validation simulates again (default: no)"
    )
    running.add_argument("--json", action="store_true", help="print JSON instead of tables")
    arguments = parser.parse_args(argv)
    return guarded(lambda: int(arguments.run(arguments)))


def _list(_: argparse.Namespace) -> int:
    for name in STUDIES:
        module = _module(name)
        print(f"{name:16} {module.TITLE} ({module.SOURCE})")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    names = list(STUDIES) if arguments.names == ["all"] else arguments.names
    for name in names:
        if name not in STUDIES:
            raise unknown_name("study", name, (*STUDIES, "all"))
    options = StudyOptions(level=arguments.level or LEVELS[1], folder=arguments.folder, models=arguments.models)
    for name in names:
        result: StudyResult = _module(name).run(options)
        result.save(arguments.out)
        if arguments.json:
            print(result.to_json(), end="")
        else:
            result.print()
    return 0


def _module(name: str) -> Any:
    return importlib.import_module(f"studies.{name}")


if __name__ == "__main__":
    raise SystemExit(main())
