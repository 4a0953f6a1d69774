"""The search, `python -m dse.search`: explores a space, keeps every score, writes front, plots and report.

The same command continues a killed run and ends with the same front. A finished run is printed again from the store.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from circuits.cells.adder_cells import load_cells
from circuits.errors import DesignError
from circuits.support.cli import Commands, integer, run_alone, say
from circuits.support.files import require_writable
from circuits.support.options import add_cells, add_out, add_workers
from dse.explore.exploration import METHODS, REFERENCES, SearchOptions, SearchResult, search, stored_result
from dse.present.artifacts import LOCK_NAME, STORE_NAME, print_result, provenance, require_same_space, write_results
from dse.score.constraints import constraints
from dse.score.evaluation import Measured, Task, measure
from dse.score.executor import Executor, ExecutorLostError, Processes, available_cpus
from dse.score.folder_lock import Lock
from dse.score.scorers import COLUMNS, EMBEDDED_IMAGES, Settings, objectives
from dse.score.store import Store, may_be_written, move_aside, run_identifier
from dse.space.search_space import SPACES, find_space

__all__ = ["METHODS", "REFERENCES", "SearchOptions", "SearchResult", "main", "search"]


def register(commands: Commands) -> None:
    """Adds the command."""
    default = SearchOptions()
    parser = commands.add_parser(
        "search",
        help="search a space for the best trade-offs",
        description="Searches a space of multipliers for the best trade-offs; the same command continues a killed run.",
    )
    parser.add_argument(
        "--space", default=default.space.name, help=f"named space ({', '.join(SPACES)}) or a .toml file with [space]"
    )
    add_cells(parser)
    parser.add_argument(
        "--objectives",
        default=",".join(column.name for column in default.objectives),
        help=f"what to optimise, comma-separated: {', '.join(COLUMNS)}",
    )
    parser.add_argument(
        "--constraint",
        action="append",
        metavar="NAME<=NUMBER",
        help="bound that a design must meet, also NAME>=NUMBER, for any of those names; repeatable; a design that "
        "violates one is not measured any further (default: none)",
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default=default.method,
        help="how designs are chosen (auto: exhaustive where the budget covers the space, else nsga2)",
    )
    parser.add_argument(
        "--population", type=integer(4, 10_000), default=default.population, help="designs in each generation"
    )
    parser.add_argument(
        "--budget", type=integer(1, 10_000_000), default=default.budget, help="number of designs to score"
    )
    parser.add_argument("--seed", type=integer(0, 2**32 - 1), default=default.seed, help="seed of the search")
    parser.add_argument(
        "--images",
        type=integer(1, EMBEDDED_IMAGES),
        default=default.settings.images,
        help=f"test images for accuracy, at most {EMBEDDED_IMAGES}",
    )
    parser.add_argument(
        "--attack-images",
        type=integer(1, EMBEDDED_IMAGES),
        default=default.settings.attack_images,
        help=f"test images for the adaptive attack, at most {EMBEDDED_IMAGES}",
    )
    add_workers(parser)
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="score on the workers of this Dask scheduler instead (default: processes here)",
    )
    parser.add_argument(
        "--asynchronous",
        action="store_true",
        help="let nsga2 keep all workers busy; the result is then not reproducible (default: whole generations)",
    )
    add_out(parser, "DIR", default=Path("runs/default"), help="folder for store, front, plots and report")
    parser.add_argument(
        "--store",
        type=Path,
        metavar="FILE",
        help=f"store of scores, which several runs may share (default: {STORE_NAME} in the output folder)",
    )
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="start over and set the store aside as NAME.old (default: use its scores)",
    )
    parser.set_defaults(run=run)


def main(argv: Sequence[str] | None = None) -> int:
    """The command as a program of its own; returns the exit status."""
    return run_alone(argv, register, prog="python -m dse.search")


def run(arguments: argparse.Namespace) -> int:
    """Searches, and writes and prints the result."""
    began = time.monotonic()
    space = find_space(arguments.space)
    if arguments.cells is not None:
        space = space.with_cells(load_cells(arguments.cells))
    options = SearchOptions(
        space=space,
        objectives=objectives(name.strip() for name in arguments.objectives.split(",") if name.strip()),
        constraints=constraints(arguments.constraint or []),
        population=arguments.population,
        budget=arguments.budget,
        seed=arguments.seed,
        method=arguments.method,
        asynchronous=arguments.asynchronous,
        settings=Settings(images=arguments.images, attack_images=arguments.attack_images),
    )
    if arguments.dask is not None and arguments.workers is not None:
        raise DesignError(
            "--workers and --dask must not be given both: a Dask scheduler has its own workers; drop one."
        )
    folder: Path = arguments.out
    path: Path = arguments.store or folder / STORE_NAME
    try:
        _require_writable(folder, path)
    except ValueError:
        result = None if arguments.fresh or not path.exists() else _finished(path, options)
        if result is None:
            raise
        say(f"note: {folder} may not be written, so this is what the store holds", file=sys.stderr)
        print_result(result, None, (), time.monotonic() - began)
        return 0
    folder_lock, store_lock = _locks(folder, path, fresh=arguments.fresh)
    with folder_lock, store_lock:
        if not arguments.fresh:
            require_same_space(folder, path, space, own_store=arguments.store is None)
        with _executor(arguments) as executor:
            if arguments.fresh:
                move_aside(path)
                store_lock.share()
            say(options.space.describe())
            print(f"cells: {', '.join(cell.name for cell in options.space.cells)}")
            print(f"method {options.chosen_method}, budget {options.budget:,} designs", flush=True)
            with Store(path) as store:
                for log in store.set_aside:
                    say(f"note: {path} was gone, but not its log, which is now {log}", file=sys.stderr)
                result = _search(options, store, executor, arguments)
                names = write_results(folder, result)
    print_result(result, folder, names, time.monotonic() - began)
    return 0


def _require_writable(folder: Path, path: Path) -> None:
    """ValueError unless both folders and the store, if it is there, may be written; makes the folders."""
    require_writable(folder)
    require_writable(path.parent)
    if path.exists() and not may_be_written(path):
        raise ValueError(f"the store {path} must be writable, but is not; change its permissions, or copy it.")


def _executor(arguments: argparse.Namespace) -> Executor[Task, Measured]:
    if arguments.dask is None:
        return Processes(measure, arguments.workers or available_cpus())
    from dse.score.dask_executor import Dask

    return Dask(measure, arguments.dask)


def _search(
    options: SearchOptions, store: Store, executor: Executor[Task, Measured], arguments: argparse.Namespace
) -> SearchResult:
    """The search; whatever ends it before its time says where its scores are and how it goes on."""
    made_by = provenance("dse.search", [text for text in arguments.argv if text != "--fresh"])
    try:
        return search(options, store, executor, progress=True, provenance=made_by)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_how_to_continue(store, arguments)) from None
    except ExecutorLostError as error:
        raise ExecutorLostError(f"{error}; {_how_to_continue(store, arguments)}") from None


def _how_to_continue(store: Store, arguments: argparse.Namespace) -> str:
    again = "the same command without --fresh" if arguments.fresh else "the same command"
    return f"{store.count()} designs have their scores in {store.path}: {again} continues the search"


def _finished(path: Path, options: SearchOptions) -> SearchResult | None:
    """The result of this very search, if the store holds it, without writing anything."""
    identifier = run_identifier(options.to_data())
    with Store(path, read_only=True) as store:
        record = next((entry for entry in store.runs() if entry.run == identifier), None)
        return None if record is None else stored_result(store, record)


def _locks(folder: Path, path: Path, *, fresh: bool) -> tuple[Lock, Lock]:
    """(the lock of the output folder, the lock of the store, which searches share unless they start it afresh)."""
    folder_lock = Lock(
        folder / LOCK_NAME,
        what=f"--out {folder} must belong to one search at a time",
        advice="wait for it, or give another --out",
    )
    wanted = "must be used by no other search when --fresh sets it aside" if fresh else "must not be set aside just now"
    store_lock = Lock(
        path.with_name(f"{path.name}.lock"),
        what=f"the store {path} {wanted}",
        advice="wait for it, or give another store",
        shared=not fresh,
    )
    return folder_lock, store_lock


if __name__ == "__main__":
    raise SystemExit(main())
