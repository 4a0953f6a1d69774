"""The runs in a store, `python -m dse.results list|show|export|report`: those of all searches that share it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from circuits.support.cli import Commands, Parser, print_text, run_alone, say
from circuits.support.files import require_writable, write_atomically
from circuits.support.options import add_format, add_out
from dse.explore.stored_runs import open_store, require_result
from dse.present.artifacts import REPORT_NAME, print_result
from dse.present.run_tables import SELECTIONS, exported, print_runs, run_entries
from dse.score.store_file import STORE_NAME

__all__ = ["add_store", "main", "register", "run"]

DEFAULT = Path("runs/default")


def add_store(parser: Parser) -> None:
    """The option --store."""
    parser.add_argument(
        "--store",
        type=Path,
        default=DEFAULT,
        metavar="PATH",
        help=f"a store, or the folder of a search with {STORE_NAME}",
    )


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "results",
        help="list, show and export the runs of a store",
        description="Lists the runs in a store and prints or writes their designs and scores.",
    )
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(
        title="actions", dest="action", metavar="ACTION", required=True, parser_class=Parser
    )
    listing = actions.add_parser("list", help="list the runs, one line each")
    listing.set_defaults(act=_list)
    showing = actions.add_parser("show", help="print a run's front and references, as the search does")
    showing.set_defaults(act=_show)
    exporting = actions.add_parser("export", help="write a run's designs with all their scores, as CSV or JSON")
    exporting.set_defaults(act=_export)
    reporting = actions.add_parser("report", help="write a run's report.html again")
    reporting.set_defaults(act=_report)
    add_out(reporting, default=Path(REPORT_NAME), help="file to write")
    for command in (showing, exporting, reporting):
        command.add_argument("name", metavar="RUN", help='beginning of the run\'s identifier, or "last"')
    add_format(listing)
    add_format(exporting, ("csv", "json"))
    exporting.add_argument(
        "--designs", choices=SELECTIONS, default=SELECTIONS[0], help="the front, or all that was scored"
    )
    add_out(exporting, help="file to write (default: print)")
    for command in (listing, showing, exporting, reporting):
        add_store(command)


def main(argv: Sequence[str] | None = None) -> int:
    """The command as a program of its own; returns the exit status."""
    return run_alone(argv, register, prog="python -m dse.results")


def run(arguments: argparse.Namespace) -> int:
    """Carries out the chosen action."""
    return int(arguments.act(arguments))


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
    if arguments.out is None:
        print_text(text)
    else:
        write_atomically(arguments.out, text.encode())
        say(f"{count} designs written to {arguments.out}")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    require_writable(arguments.out.parent)
    with open_store(arguments.store) as store:
        result = require_result(store, arguments.name)
    from dse.present.html_report import report

    write_atomically(arguments.out, report(result).encode())
    say(f"report of run {result.record.run[:10]} written to {arguments.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
