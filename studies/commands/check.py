"""`check`: whether the committed quick numbers still follow from the code."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from circuits.support.cli import Commands, say
from studies.commands.run import OUT
from studies.frame.result_folders import add_store


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "check",
        help="check the committed quick numbers",
        description="Checks whether the committed quick numbers still follow from the code.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="studies to check (default: all)")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        help="compare what `run` left there (default: run each study whose code or data have changed)",
    )
    add_store(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one line for each difference; returns 1 where there is any."""
    from studies import STUDIES
    from studies.frame import fingerprint, stored_results, study_runs
    from studies.frame.study import StudyOptions, StudyResult

    lines, same, compared = [], 0, 0
    for name in study_runs.known_names(arguments.names or ["all"]):
        path = stored_results.path_of(name, "quick", arguments.store)
        if not path.is_file():
            lines.append(f"{name}: no quick result is committed; run it, then `report --results {OUT}`")
            continue
        old = stored_results.load(name, "quick", arguments.store)
        if arguments.results is not None:
            new = StudyResult.load(arguments.results / f"{name}.json")
        elif old.inputs == fingerprint.digest(STUDIES[name]) or stored_results.tolerance(name) is None:
            same += 1
            continue
        else:
            print(f"{name}: running, since its code or data have changed", file=sys.stderr, flush=True)
            new = study_runs.measure(name, StudyOptions(level="quick"))
        compared += 1
        lines += stored_results.differences(new, old)
    for line in lines:
        say(line)
    print(f"{same} studies unchanged, {compared} compared, {len(lines)} differences")
    return 1 if lines else 0
