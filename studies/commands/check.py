"""`check`: whether the committed results are what studies saved, and whether they still follow from the code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from circuits.support.cli import Commands, say
from circuits.support.files import decode, read_bytes
from studies.commands.run import OUT
from studies.frame.result_folders import add_store

if TYPE_CHECKING:
    from studies.frame.study import StudyResult


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "check",
        help="check the committed results",
        description="Checks that nobody has edited the committed results of any level since they were saved, and says "
        "which are stale: measured before their code or data last changed. On request, studies run again and their "
        "numbers are compared. Exit status 1: a result was edited, is missing, or differs.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="studies to check (default: all)")
    compared = parser.add_mutually_exclusive_group()
    compared.add_argument("--results", type=Path, metavar="DIR", help="compare what `run --quick` left there")
    compared.add_argument("--stale", action="store_true", help="run stale results again and compare")
    compared.add_argument("--fresh", action="store_true", help="run all results again and compare")
    parser.add_argument(
        "--quick", dest="level", action="store_const", const="quick", help="run only those of level quick again"
    )
    add_store(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one line for each study with stale results and for each difference; returns 1 where there is one."""
    from studies.frame import stored_results, study_runs

    if arguments.level and not (arguments.stale or arguments.fresh):
        raise ValueError("--quick needs --stale or --fresh, but got neither; nothing runs again without them.")
    names = study_runs.known_names(arguments.names or ["all"])
    stored, lines = _load(names, arguments.store)
    stale = {name: [old.level for old in stored if old.name == name and study_runs.is_stale(old)] for name in names}
    for name, levels in stale.items():
        if levels:
            say(f"{name}: stale ({', '.join(levels)}), since its code or data have changed")
    compared = 0
    for old in stored:
        changed = old.level in stale[old.name]
        if stored_results.tolerance(old.name) is None or (new := _counterpart(old, changed, arguments)) is None:
            continue
        compared += 1
        lines += stored_results.differences(new, old)
    if not arguments.names and arguments.results is None and not lines:
        lines += _page_differences(arguments.store)
    for line in lines:
        say(line)
    stale_count = sum(map(len, stale.values()))
    print(f"{len(stored)} results as saved, {stale_count} stale, {compared} compared, {len(lines)} differences")
    return 1 if lines else 0


def _load(names: Sequence[str], store: Path) -> tuple[list[StudyResult], list[str]]:
    """Returns the stored results of every level, and a line for each that is missing or not as it was saved."""
    from studies.frame import stored_results

    results, lines = [], []
    for name in names:
        levels = stored_results.stored_levels(name, store)
        if "quick" not in levels:
            lines.append(f"{name}: no quick result is committed; run it, then `report --results {OUT}`")
        for level in levels:
            try:
                results.append(stored_results.load(name, level, store))
            except ValueError as error:
                lines.append(f"{name}: {error}")
    return results, lines


def _counterpart(old: StudyResult, changed: bool, arguments: argparse.Namespace) -> StudyResult | None:
    """Returns the result to compare a stored one with, read or measured; None if the options ask for none.

    `changed` says whether the stored one is stale.
    """
    from studies.frame import study_runs
    from studies.frame.study import StudyOptions, StudyResult

    if arguments.results is not None:
        return StudyResult.load(arguments.results / f"{old.name}.json") if old.level == "quick" else None
    if not (arguments.fresh or (arguments.stale and changed)) or arguments.level not in (None, old.level):
        return None
    print(f"{old.name}: running at level {old.level}", file=sys.stderr, flush=True)
    return study_runs.measure(old.name, StudyOptions(level=old.level))


def _page_differences(store: Path) -> list[str]:
    """Returns a line if the page beside the store, or its picture, is not what `report` makes of it.

    Marks of stale results do not count: what is stale changes with every change of the code, which is no reason to
    refuse the page.
    """
    from studies.frame.stored_results import load_best
    from studies.frame.study import MAX_BYTES
    from studies.page.networks_picture import PICTURE, is_picture_of
    from studies.page.results_page import markdown, unmarked

    page = store.parent / "RESULTS.md"
    if not page.is_file():
        return []
    text = decode(read_bytes(page, limit=MAX_BYTES, error=ValueError), page, what="UTF-8")
    results = load_best(store)
    right = {
        page: unmarked(text) == markdown(results),
        page.parent / PICTURE: is_picture_of(page.parent / PICTURE, results),
    }
    return [
        f"{path} must be what `report` makes of the committed results, but is not; run `python -m studies report`"
        for path, is_right in right.items()
        if not is_right
    ]
