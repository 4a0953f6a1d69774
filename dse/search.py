"""The search, `python -m dse.search`: explores a space, keeps every score, writes front, plots and report.

The same command continues a killed run and ends with the same front. A finished run is printed again from the store.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from circuits.errors import DesignError
from circuits.exchange.design_files import find_designs
from circuits.exchange.design_options import user_cells
from circuits.support.cli import Commands, integer, run_alone, say
from circuits.support.options import add_cells, add_cpu_features, add_device, add_out, add_seed, add_workers
from circuits.support.processor import chosen_device
from dse.explore.search_options import METHODS, SearchOptions
from dse.explore.search_result import SearchResult
from dse.present.artifacts import REPORT_NAME, print_result, provenance, result_files
from dse.present.search_folder import finished_search, require_writable_places, run_search
from dse.score.evaluation import ScoresByScorer, ScoringTask, measure
from dse.score.executor import Executor, Processes, available_cpus
from dse.score.score_options import add_network, add_scorer, score_settings
from dse.score.scorers import COLUMNS
from dse.score.store_file import STORE_NAME
from dse.space.search_space import REFERENCES, SPACES, find_space

__all__ = ["main", "register", "run"]


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
        default=",".join(column.name for column in default.question.objectives),
        help=f"what to optimise, comma-separated: {', '.join(COLUMNS)}",
    )
    parser.add_argument(
        "--constraint",
        action="append",
        metavar="NAME<=NUMBER",
        help="bound that a design must meet, also NAME>=NUMBER, for any of those names; repeatable; a design that "
        "violates one is not measured any further (default: none)",
    )
    add_scorer(parser)
    parser.add_argument(
        "--method",
        choices=METHODS,
        default=default.method,
        help="how designs are chosen (auto: exhaustive where the budget covers the space; surrogate for networks in "
        "spaces above 10^9 and budgets up to 2,000; else nsga2)",
    )
    parser.add_argument(
        "--population",
        type=integer(4, 10_000),
        metavar="N",
        help="designs in each generation (default: 20; for networks a twentieth of the budget, from 8 to 20)",
    )
    parser.add_argument(
        "--budget", type=integer(1, 10_000_000), default=default.budget, help="number of designs to score"
    )
    add_seed(parser, 2**32 - 1, help="seed of the search")
    parser.add_argument(
        "--references",
        type=_names,
        metavar="DESIGN,DESIGN",
        help="designs to score and mark beside the results: names, circuits of the library or files (default: "
        f"{', '.join(REFERENCES)}; exact multipliers for integers)",
    )
    add_network(parser)
    add_cpu_features(parser)
    add_workers(parser)
    add_device(parser)
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
        metavar="PATH",
        help=f"store of scores, which several runs may share (default: {STORE_NAME} in the output folder)",
    )
    parser.add_argument(
        "--watch",
        nargs="?",
        const=0,
        type=integer(0, 65535),
        metavar="PORT",
        help="serve the report at 127.0.0.1:PORT while the search runs, renewed as designs are scored; without PORT: a "
        "free one (default: no server)",
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
    cells = user_cells(arguments)
    space = space.with_cells(cells)
    options = SearchOptions(
        space=space,
        objectives=_names(arguments.objectives),
        constraints=arguments.constraint or (),
        population=arguments.population or 0,
        budget=arguments.budget,
        seed=arguments.seed,
        method=arguments.method,
        asynchronous=arguments.asynchronous,
        settings=score_settings(arguments),
        scorers=arguments.scorer or (),
        references=find_designs(arguments.references or (), cells),
    )
    if arguments.dask is not None and arguments.workers is not None:
        raise DesignError(
            "--workers and --dask must not be given both: a Dask scheduler has its own workers; drop one."
        )
    if chosen_device() != "cpu":
        from cnn_eval.models.devices import require_cuda

        require_cuda()
    folder: Path = arguments.out
    path: Path = arguments.store or folder / STORE_NAME
    try:
        require_writable_places(folder, path)
    except ValueError:
        result = None if arguments.fresh or not path.exists() else finished_search(path, options)
        if result is None:
            raise
        say(f"note: {folder} may not be written, so this is what the store holds", file=sys.stderr)
        print_result(result, None, (), time.monotonic() - began)
        return 0
    with _executor(arguments) as executor, _watched(arguments) as observe:
        result = run_search(
            options,
            out=folder,
            store=arguments.store,
            executor=executor,
            progress=True,
            fresh=arguments.fresh,
            provenance=provenance("dse.search", [text for text in arguments.argv if text != "--fresh"]),
            announce=lambda text: say(f"note: {text}", file=sys.stderr),
            begin=lambda: _introduce(options),
            observe=observe,
        )
    print_result(result, folder, result_files(result), time.monotonic() - began)
    return 0


def _names(text: str) -> list[str]:
    """Names separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _introduce(options: SearchOptions) -> None:
    say(options.space.describe())
    if options.space.topologies:
        print(f"cells: {', '.join(cell.name for cell in options.space.cells)}")
    if network := options.settings.network_text:
        say(f"network: {network}")
    print(f"method {options.chosen_method}, budget {options.budget:,} designs", flush=True)


@contextmanager
def _watched(arguments: argparse.Namespace) -> Iterator[Callable[[Callable[[], SearchResult]], None]]:
    """What `run_search` tells of a search in progress, served as --watch asks for it."""
    if arguments.watch is None:
        yield lambda so_far: None
        return
    from dse.present.search_page.live_server import LiveServer

    with LiveServer(arguments.watch, arguments.out / REPORT_NAME) as server:
        say(f"watch the search at {server.address} until it ends")
        yield server.observe


def _executor(arguments: argparse.Namespace) -> Executor[ScoringTask, ScoresByScorer]:
    if arguments.dask is None:
        return Processes(measure, arguments.workers or (available_cpus() if chosen_device() == "cpu" else 1))
    from dse.score.dask_executor import Dask

    return Dask(measure, arguments.dask)


if __name__ == "__main__":
    raise SystemExit(main())
