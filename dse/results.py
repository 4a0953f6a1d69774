"""What a store holds, `python -m dse.results list|show|export|report`: the runs of all searches that share it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from circuits.errors import DesignError
from circuits.support.cli import Commands, Parser, console, print_csv, print_json, print_text, run_alone, say, table
from circuits.support.files import require_writable, write_atomically
from circuits.support.options import add_format, add_out
from dse.explore.exploration import SearchResult, check_configuration, stored_result
from dse.present.artifacts import REPORT_NAME, STORE_NAME, print_result
from dse.present.score_table import Row, front_csv, row_data
from dse.score.store import RunRecord, Store, may_be_written

__all__ = ["add_store", "main", "open_store", "require_result"]

DEFAULT = Path("runs/default")
_SELECTIONS = ("front", "all")


def add_store(parser: Parser) -> None:
    """The option --store."""
    parser.add_argument(
        "--store",
        type=Path,
        default=DEFAULT,
        metavar="PATH",
        help=f"a store, or the folder of a search with {STORE_NAME}",
    )


def open_store(path: Path) -> Store:
    """The store at `path`, or in the folder `path`, to be read; DesignError where there is none.

    Reading creates no store, and needs no right to write.
    """
    file = path / STORE_NAME if path.is_dir() else path
    if not file.exists():
        raise DesignError(f"a store must be there, but {str(file)!r} is not; give --store, or run a search first.")
    return Store(file, read_only=not may_be_written(file))


def require_result(store: Store, name: str) -> SearchResult:
    """The finished run of that name (the beginning of its identifier, or "last"); DesignError where it is none."""
    records = store.runs()
    finished = [record for record in records if record.finished is not None]
    if name == "last":
        if not finished:
            raise DesignError(f"a finished run must be in {store.path}, but none is; run a search to its end first.")
        record = max(finished, key=lambda entry: (entry.finished or "", entry.run))
    else:
        record = store.run(name)
    result = stored_result(store, record)
    if result is None:
        # Runs of earlier versions recorded --fresh, which would start over.
        command = str(record.provenance.get("command", "")).replace(" --fresh", "")
        again = f"continue it with `{command}`" if command else "run its search again"
        raise DesignError(f"run {record.run[:10]} must be finished, but is not; {again}.")
    return result


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
    listing = actions.add_parser("list", help="every run, a line each")
    listing.set_defaults(act=_list)
    showing = actions.add_parser("show", help="a run's front and references, as the search prints them")
    showing.set_defaults(act=_show)
    exporting = actions.add_parser("export", help="a run's designs with all their scores, as CSV or JSON")
    exporting.set_defaults(act=_export)
    reporting = actions.add_parser("report", help="a run's report.html, written again")
    reporting.set_defaults(act=_report)
    add_out(reporting, default=Path(REPORT_NAME), help="file to write")
    for command in (showing, exporting, reporting):
        command.add_argument("name", metavar="RUN", help='beginning of the run\'s identifier, or "last"')
    add_format(listing)
    add_format(exporting, ("csv", "json"))
    exporting.add_argument(
        "--designs", choices=_SELECTIONS, default=_SELECTIONS[0], help="the front, or all that was scored"
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
        entries = [_line(store, record) for record in store.runs()]
    if arguments.format == "json":
        print_json(entries)
    elif arguments.format == "csv":
        print_csv(list(_line_names()), entries)
    else:
        # When it ended, a column of JSON and CSV, says no more here than the designs: unfinished runs have none.
        columns = [name for name in _line_names() if name not in ("finished", "constraints")]
        made = table(*columns, right=("budget", "seed", "designs", "skipped"))
        made.columns[columns.index("started")].no_wrap = True
        for entry in entries:
            asked = "\n".join([*entry["objectives"].split(), *entry["constraints"].split()])
            shown = {**entry, "started": entry["started"][:16].replace("T", " ") + " UTC", "objectives": asked}
            made.add_row(*("-" if shown[name] is None else str(shown[name]) for name in columns))
        console().print(made)
    return 0


def _line_names() -> tuple[str, ...]:
    return (
        "run",
        "started",
        "finished",
        "space",
        "method",
        "objectives",
        "constraints",
        "budget",
        "seed",
        "designs",
        "skipped",
    )


def _line(store: Store, record: RunRecord) -> dict[str, Any]:
    check_configuration(store, record)
    configuration = record.configuration
    members = [member for member in store.members(record.run) or [] if member.role == "space"]
    done = record.finished is not None
    values = (
        record.run[:10],
        record.started,
        record.finished,
        configuration["space"]["name"],
        configuration["method"] + (" asynchronous" if configuration["asynchronous"] else ""),
        " ".join(configuration["objectives"]),
        " ".join(configuration["constraints"]),
        configuration["budget"],
        configuration["seed"],
        len(members) if done else None,
        sum(bool(member.skipped) for member in members) if done else None,
    )
    return dict(zip(_line_names(), values, strict=True))


def _show(arguments: argparse.Namespace) -> int:
    with open_store(arguments.store) as store:
        result = require_result(store, arguments.name)
    print_result(result, None, (), None)
    return 0


def _export(arguments: argparse.Namespace) -> int:
    with open_store(arguments.store) as store:
        result = require_result(store, arguments.name)
    rows = list(result.front) if arguments.designs == "front" else _everything(result)
    if arguments.format == "json":
        import json

        ruled_out = {entry.row.design.cost_digest: entry.reason for entry in result.ruled_out}
        text = json.dumps(
            {
                "run": result.record.run,
                "configuration": result.record.configuration,
                "provenance": result.record.provenance,
                "units": {column.name: column.unit for column in result.columns.values()},
                "scopes": {column.name: column.scope for column in result.columns.values() if column.scope},
                "designs": [{**row_data(row), "skipped": ruled_out.get(row.design.cost_digest, "")} for row in rows],
                "references": [row_data(row) for row in result.references],
            },
            indent=2,
        )
        text += "\n"
    else:
        text = front_csv(rows, result.objectives, result.columns)
    if arguments.out is None:
        print_text(text)
    else:
        write_atomically(arguments.out, text.encode())
        say(f"{len(rows)} designs written to {arguments.out}")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    require_writable(arguments.out.parent)
    with open_store(arguments.store) as store:
        result = require_result(store, arguments.name)
    from dse.present.html_report import report

    write_atomically(arguments.out, report(result).encode())
    say(f"report of run {result.record.run[:10]} written to {arguments.out}")
    return 0


def _everything(result: SearchResult) -> list[Row]:
    """The front with all its scores, then the other designs, those ruled out included, with what they have."""
    full = {row.design.cost_digest: row for row in result.front}
    others = [*result.rows, *(entry.row for entry in result.ruled_out)]
    for row in others:
        full.setdefault(row.design.cost_digest, row)
    return list(full.values())


if __name__ == "__main__":
    raise SystemExit(main())
