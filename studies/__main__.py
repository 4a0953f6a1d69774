"""Command line: published tables and figures, and studies of our own, one command each."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from circuits.errors import unknown_name
from circuits.support.cli import Parser, guarded, say
from circuits.support.files import read_bytes, require_writable, write_atomically
from studies import STUDIES
from studies.frame import fingerprint, stored_results
from studies.frame.results_page import markdown
from studies.frame.row_figures import comparison
from studies.frame.study import LEVELS, MAX_BYTES, StudyOptions, StudyResult

OUT = Path("runs/studies")


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
    running.add_argument("--out", type=Path, default=OUT, help="folder for NAME.json, .csv, .png and .svg")
    running.add_argument(
        "--fresh", action="store_true", help="run also what --out holds at this level, from the same code and data"
    )
    running.add_argument(
        "--folder", type=Path, help="where the files of the full data sets lie (default: the user's cache)"
    )
    running.add_argument(
        "--models", type=Path, metavar="DIR", help="transistor models: cost_validation simulates again (default: no)"
    )
    running.add_argument("--json", action="store_true", help="print JSON instead of tables")
    checking = commands.add_parser("check", help="whether the committed quick numbers still follow")
    checking.set_defaults(run=_check)
    checking.add_argument("names", nargs="*", metavar="NAME", help="studies to check (default: all)")
    checking.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        help="compare what `run` left there (default: run each study whose code or data have changed)",
    )
    reporting = commands.add_parser("report", help="write RESULTS.md from the committed results")
    reporting.set_defaults(run=_report)
    reporting.add_argument(
        "--results", type=Path, metavar="DIR", help="commit what `run` left there first (default: nothing)"
    )
    reporting.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="page to write (default: RESULTS.md beside the store)"
    )
    for command in (checking, reporting):
        command.add_argument(
            "--store", type=Path, default=stored_results.COMMITTED, help="folder of the committed results"
        )
    arguments = parser.parse_args(argv)
    return guarded(lambda: int(arguments.run(arguments)))


def _list(_: argparse.Namespace) -> int:
    for name in STUDIES:
        module = _module(name)
        print(f"{name:16} {module.TITLE} ({module.SOURCE})")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    names = _known(arguments.names)
    require_writable(arguments.out)
    options = StudyOptions(level=arguments.level or LEVELS[1], folder=arguments.folder, models=arguments.models)
    try:
        _run_all(names, options, arguments)
    except KeyboardInterrupt:
        again = "; the same command runs only the others"
        if arguments.fresh:
            again = "; the same command without --fresh runs only the others"
        if arguments.models:
            again = ""  # With models nothing is taken as stored.
        raise KeyboardInterrupt(f"results of the studies that ended are in {arguments.out}{again}") from None
    return 0


def _run_all(names: Sequence[str], options: StudyOptions, arguments: argparse.Namespace) -> None:
    for k, name in enumerate(names, 1):
        result = None if arguments.fresh or arguments.models else _kept(arguments.out, name, options.level)
        if len(names) > 1:
            note = "as stored" if result else "running"
            say(f"[{k} of {len(names)}] {name}: {note}", file=sys.stderr)
        elif result:
            say(f"note: as stored in {arguments.out}; --fresh runs it again", file=sys.stderr)
        if result is None:
            result = _measure(name, options)
            result.save(arguments.out)
        if arguments.json:
            print(result.to_json(), end="", flush=True)
        else:
            result.print()


def _check(arguments: argparse.Namespace) -> int:
    """Status 1, and a line each, if numbers no longer follow."""
    lines, same, compared = [], 0, 0
    for name in _known(arguments.names or ["all"]):
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
            new = _measure(name, StudyOptions(level="quick"))
        compared += 1
        lines += stored_results.differences(new, old)
    for line in lines:
        say(line)
    print(f"{same} studies unchanged, {compared} compared, {len(lines)} differences")
    return 1 if lines else 0


def _report(arguments: argparse.Namespace) -> int:
    page = arguments.output or arguments.store.parent / "RESULTS.md"
    paths: list[Path] = []
    if arguments.results is not None:
        paths = [path for name in STUDIES if (path := arguments.results / f"{name}.json").is_file()]
        if not paths:
            raise ValueError(f"{arguments.results} must hold results of studies, but has none; run some first.")
    # All results are read before a folder is made: a file that is refused leaves nothing behind.
    results_by_path = {path: StudyResult.load(path) for path in paths}
    if paths:
        stored_results.require_own(arguments.store, advice="give --store DIR for results of your own")
    stored_results.require_own(page.parent, advice="give --output FILE")
    for path, result in results_by_path.items():
        target = stored_results.path_of(result.name, result.level, arguments.store)  # both known words: `load` checks
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, read_bytes(path, limit=MAX_BYTES))
    results = stored_results.load_best(arguments.store)
    if not results:
        raise ValueError(f"{arguments.store} must hold results of studies, but has none; give --results.")
    write_atomically(page, markdown(results).encode())
    say(f"{len(results)} of {len(STUDIES)} studies in {page}")
    return 0


def _known(names: Sequence[str]) -> list[str]:
    names = list(STUDIES) if list(names) == ["all"] else list(names)
    for name in names:
        if name not in STUDIES:
            raise unknown_name("study", name, (*STUDIES, "all"))
    return names


def _measure(name: str, options: StudyOptions) -> StudyResult:
    depends = fingerprint.digest(STUDIES[name])  # before it runs: files may change meanwhile
    module = _module(name)
    result: StudyResult = replace(module.run(options), name=name, title=module.TITLE, source=module.SOURCE)
    if not result.figures:
        drawn = comparison(result.rows, name=name, title=f"{result.title} ({result.source})")
        result = replace(result, figures=drawn)
    return replace(result, level=options.level, inputs=depends)


def _kept(folder: Path, name: str, level: str) -> StudyResult | None:
    """What a run before this one left, if it is of this level and of the same code and data."""
    path = folder / f"{name}.json"
    try:
        result = StudyResult.load(path)
    except (ValueError, OSError):
        return None
    return result if (result.level, result.inputs) == (level, fingerprint.digest(STUDIES[name])) else None


def _module(name: str) -> Any:
    return importlib.import_module(STUDIES[name])


if __name__ == "__main__":
    raise SystemExit(main())
