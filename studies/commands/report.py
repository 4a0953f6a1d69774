"""`report`: writes RESULTS.md and its picture from the committed results."""

from __future__ import annotations

import argparse
from pathlib import Path

from circuits.support.cli import Commands, say
from circuits.support.files import read_bytes, write_atomically
from circuits.support.options import add_out
from studies.frame.result_folders import add_store


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "report",
        help="write RESULTS.md from the committed results",
        description="Writes the page of results, RESULTS.md, from the committed results, and beside it RESULTS.png "
        "with the claims under each network. It shows which results are stale: measured before their code or data last "
        "changed.",
    )
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="commit what `run` left there first (default: nothing)"
    )
    add_out(parser, help="page to write (default: RESULTS.md beside the store)")
    add_store(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Commits results if asked to, then writes the page."""
    from studies import STUDIES
    from studies.frame import stored_results, study_runs
    from studies.frame.study import MAX_BYTES, StudyResult
    from studies.page.networks_picture import PICTURE, picture, rates
    from studies.page.results_page import markdown

    page = arguments.out or arguments.store.parent / "RESULTS.md"
    paths: list[Path] = []
    if arguments.results is not None:
        paths = [path for name in STUDIES if (path := arguments.results / f"{name}.json").is_file()]
        if not paths:
            raise ValueError(f"{arguments.results} must hold results of studies, but has none; run some first.")
    # All results are read before a folder is made: a file that is refused leaves nothing behind. `load` checks name and
    # level, which make up the path.
    results_by_path = {path: StudyResult.load(path) for path in paths}
    if paths:
        stored_results.require_own(arguments.store, advice="give --store DIR for results of your own")
    stored_results.require_own(page.parent, advice="give --out FILE")
    for path, result in results_by_path.items():
        target = stored_results.path_of(result.name, result.level, arguments.store)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, read_bytes(path, limit=MAX_BYTES))
    results = stored_results.load_best(arguments.store)
    if not results:
        raise ValueError(f"{arguments.store} must hold results of studies, but has none; give --results.")
    stale = study_runs.stale_names(results.values())
    if rates(results):
        write_atomically(page.parent / PICTURE, picture(results))
    write_atomically(page, markdown(results, stale=stale).encode())
    say(f"{len(results)} of {len(STUDIES)} studies in {page}")
    return 0
