"""The runs in a store, `python -m dse.results list|show|export|report`: those of all searches that share it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from circuits.support.cli import Parser, add_format, guarded, print_text, say
from circuits.support.files import require_writable, write_atomically
from dse.explore.stored_runs import open_store, require_result
from dse.present.artifacts import REPORT_NAME, print_result
from dse.present.run_tables import SELECTIONS, exported, print_runs, run_entries
from dse.score.store_file import STORE_NAME

__all__ = ["add_store", "main"]

DEFAULT = Path("runs/default")


def add_store(parser: argparse.ArgumentParser) -> None:
    """Adds the option --store."""
    parser.add_argument(
        "--store",
        type=Path,
        default=DEFAULT,
        metavar="PATH",
        help=f"a store, or the folder of a search with {STORE_NAME}",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(prog="python -m dse.results", description="The runs in a store, their designs and scores.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="every run, a line each")
    listing.set_defaults(run=_list)
    showing = commands.add_parser("show", help="a run's front and references, as the search prints them")
    showing.set_defaults(run=_show)
    exporting = commands.add_parser("export", help="a run's designs with all their scores, as CSV or JSON")
    exporting.set_defaults(run=_export)
    reporting = commands.add_parser("report", help="a run's report.html, written again")
    reporting.set_defaults(run=_report)
    reporting.add_argument("-o", "--output", type=Path, default=Path(REPORT_NAME), help="file to write")
    for command in (showing, exporting, reporting):
        command.add_argument("name", metavar="RUN", help='beginning of the run\'s identifier, or "last"')
    add_format(listing)
    exporting.add_argument("--format", choices=("csv", "json"), default="csv", help="how to write")
    exporting.add_argument(
        "--designs", choices=SELECTIONS, default=SELECTIONS[0], help="the front, or all that was scored"
    )
    exporting.add_argument("-o", "--output", type=Path, help="file to write (default: print)")
    for command in (listing, showing, exporting, reporting):
        add_store(command)
    arguments = parser.parse_args(argv)
    return guarded(lambda: int(arguments.run(arguments)))


def _list(arguments: argparse.Namespace) -> int:
    with open_store(arguments.store) as store:
        entries = run_entries(store)
    print_runs(entries, format=arguments.format)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    with open_store(arguments.store) as store:
        result = require_result(store, arguments.name)
    print_result(result, None, (), None)
    return 0


def _export(arguments: argparse.Namespace) -> int:
    with open_store(arguments.store) as store:
        result = require_result(store, arguments.name)
    text, count = exported(result, designs=arguments.designs, format=arguments.format)
    if arguments.output is None:
        print_text(text)
    else:
        write_atomically(arguments.output, text.encode())
        say(f"{count} designs written to {arguments.output}")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    require_writable(arguments.output.parent)
    with open_store(arguments.store) as store:
        result = require_result(store, arguments.name)
    from dse.present.html_report import report

    write_atomically(arguments.output, report(result).encode())
    say(f"report of run {result.record.run[:10]} written to {arguments.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
