"""The search, `python -m dse.search`: explores a space, keeps every score, writes the Pareto front and its plots.

The same command continues a killed run and ends with the same front: the genomes follow from the seed and from scores
alone, and scores are taken from the store where they are there. A finished run is printed again from the store.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from circuits.cells import load_cells
from circuits.cli import Parser, console, guarded, integer
from circuits.designs import design
from circuits.errors import DesignError, unknown_name
from dse.evaluation import Evaluator, Failure, measure
from dse.executor import Executor, available_cpus
from dse.files import require_writable, write_atomically
from dse.front import non_dominated
from dse.layered import Subject
from dse.progress import Reporter
from dse.scorers import COLUMNS, EMBEDDED_IMAGES, SCORERS, Column, Scores, Settings, objectives, scorers_of
from dse.space import SPACES, Genome, Space, find_space
from dse.store import Member, Store, move_aside
from dse.table import Row, cost_note, estimates_note, front_csv, print_definitions, print_scores

__all__ = ["METHODS", "REFERENCES", "SearchOptions", "SearchResult", "main", "search"]

REFERENCES = ("exact", "axfpm", "axfpm_tiled", "heap")
"""The named designs that every search scores and marks."""
SEARCH_VERSION = 1
"""Raised whenever the same options would evaluate other designs."""
METHODS = ("auto", "exhaustive", "nsga2", "random")
"""How designs are chosen; "auto": exhaustive where the space has no more genomes than the budget, else nsga2."""
STORE_NAME = "store.sqlite"
_RUN_NAME = "run.json"
_DRAWS = 100
"""Genomes drawn at random for each design of the budget before a space counts as used up."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """All that decides a search's result. `budget`: designs of the space to score, references not counted.

    Raises DesignError when `method` is "exhaustive" and the space has more genomes than the budget.
    """

    space: Space = SPACES["arrays"]
    objectives: tuple[Column, ...] = (COLUMNS["energy"], COLUMNS["delay"], COLUMNS["accuracy_loss"])
    population: int = 20
    budget: int = 240
    seed: int = 0
    method: str = "auto"
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown_name("method", self.method, METHODS)
        if self.method == "exhaustive" and self.space.size > self.budget:
            raise DesignError(
                f"the budget must cover the space for method exhaustive, but got {self.budget:,} for "
                f"{self.space.size_text} genomes; raise the budget, or choose nsga2 or random."
            )

    @property
    def chosen_method(self) -> str:
        """`method`, with what "auto" means here."""
        if self.method != "auto":
            return self.method
        return "exhaustive" if self.space.size <= self.budget else "nsga2"

    def to_data(self) -> dict[str, Any]:
        """JSON-ready, with the versions and settings of all scorers: what identifies a run in the store."""
        return {
            "search": SEARCH_VERSION,
            "space": self.space.to_data(),
            "objectives": [column.name for column in self.objectives],
            "population": self.population,
            "budget": self.budget,
            "seed": self.seed,
            # What "auto" chooses follows from the rest.
            **({} if self.method == "auto" else {"method": self.method}),
            "references": {name: design(name).cost_digest for name in REFERENCES},
            "scorers": {
                name: [scorer.version, scorer.settings_hash(self.settings)] for name, scorer in SCORERS.items()
            },
        }


@dataclass(frozen=True)
class SearchResult:
    """`rows`: every scored design of the space, in the order of scoring, with at least the objectives; `front`: those
    that no other dominates, sorted by the first objective; `references`; both with all scores. `failures`: designs
    that could not be scored. `computed`: designs for which something was computed now, the rest came from the store.
    """

    run: str
    rows: tuple[Row, ...]
    front: tuple[Row, ...]
    references: tuple[Row, ...]
    failures: tuple[Failure, ...]
    computed: int


def search(options: SearchOptions, store: Store, *, workers: int = 1, progress: bool = False) -> SearchResult:
    """Runs, continues or looks up a search. With `workers` > 1 the caller's main module must be importable.

    Exhaustive: every design of the space. Random: designs drawn from the seed, all genomes equally likely, each design
    once. NSGA-II: `dse.nsga2`. Raises ValueError when a reference design cannot be scored: then nothing can.
    """
    run = store.begin(options.to_data())
    with Reporter(enabled=progress) as reporter, Executor(measure, workers) as executor:
        evaluator = Evaluator(store, executor, options.settings)
        finished = _finished(options, evaluator, run)
        if finished is not None:
            return finished
        executor.start()
        return _Search(options, evaluator, reporter).run(run)


class _Search:
    """One run in progress."""

    def __init__(self, options: SearchOptions, evaluator: Evaluator, reporter: Reporter) -> None:
        self.options = options
        self.evaluator = evaluator
        self.reporter = reporter
        # Circuit scores go into every row; the network's scores cost more and wait, unless they are objectives.
        needed = scorers_of(options.objectives)
        self.scorers = tuple(s for s in SCORERS.values() if s in needed or s.cost == "cheap")
        self.rows: dict[str, Row] = {}
        self.failures: list[Failure] = []
        self.decode = lru_cache(maxsize=None)(options.space.decode)

    def run(self, run: str) -> SearchResult:
        """Searches, completes the scores of front and references, records the end."""
        options, evaluator = self.options, self.evaluator
        total = min(options.budget, options.space.size)
        self.reporter.stage("designs scored", total + len(REFERENCES))
        references = [design(name) for name in REFERENCES]
        for found in evaluator.score(references, self.scorers, self.reporter.advance):
            if isinstance(found, Failure):
                raise ValueError(f"{found.design.label} must be scored, but: {found.reason}")
        if options.chosen_method == "exhaustive":
            self._evaluate(list(self._distinct(options.space.genomes())))
        elif options.chosen_method == "random":
            self._evaluate(list(self._distinct(options.space.sample(options.seed, _DRAWS * options.budget))))
        else:
            from dse.nsga2 import evolve

            evolve(
                options.space,
                population=options.population,
                budget=options.budget,
                seed=options.seed,
                objectives=len(options.objectives),
                key=self._key,
                evaluate=self._evaluate,
            )
        self.reporter.end(len(self.rows) + len(self.failures) + len(REFERENCES))
        rows = tuple(self.rows.values())
        best = [row.design for row in _front(rows, options.objectives)]
        self.reporter.stage("front completed", len(best) + len(references))
        completed = evaluator.score([*best, *references], tuple(SCORERS.values()), self.reporter.advance)
        if not self.failures and not any(isinstance(found, Failure) for found in completed):
            members = [Member(row.design, "space") for row in rows] + [Member(d, "reference") for d in references]
            evaluator.store.finish(run, members, datetime.now(UTC).isoformat(timespec="seconds"))
        full: dict[str, Row] = {}
        for entry, found in zip([*best, *references], completed, strict=True):
            if isinstance(found, Failure):
                self.failures.append(found)
            else:
                full[entry.cost_digest] = Row(entry, found)
        return SearchResult(
            run,
            rows,
            tuple(full[entry.cost_digest] for entry in best if entry.cost_digest in full),
            tuple(
                Row(entry, full[entry.cost_digest].scores, True) for entry in references if entry.cost_digest in full
            ),
            tuple(self.failures),
            evaluator.new,
        )

    def _evaluate(self, genomes: Sequence[Genome]) -> list[list[float] | None]:
        designs = [self.decode(genome) for genome in genomes]
        values: list[list[float] | None] = []
        for entry, found in zip(designs, self._score(designs), strict=True):
            if isinstance(found, Failure):
                self.failures.append(found)
                values.append(None)
            else:
                row = self.rows[entry.cost_digest] = Row(entry, found)
                goal = row.values(self.options.objectives)
                values.append(goal if all(map(math.isfinite, goal)) else None)
        return values

    def _score(self, designs: Sequence[Subject]) -> list[Scores | Failure]:
        return self.evaluator.score(designs, self.scorers, self.reporter.advance)

    def _key(self, genome: Genome) -> str:
        return self.decode(genome).cost_digest

    def _distinct(self, genomes: Iterable[Genome]) -> list[Genome]:
        """The first genome of each design, up to the budget."""
        kept: dict[str, Genome] = {}
        for genome in genomes:
            kept.setdefault(self._key(genome), genome)
            if len(kept) == self.options.budget:
                break
        return list(kept.values())


def _front(rows: Sequence[Row], objectives: Sequence[Column]) -> list[Row]:
    """The non-dominated rows, sorted by the objectives, then by digest; a row with an undefined value has no rank."""
    defined = [row for row in rows if all(map(math.isfinite, row.values(objectives)))]
    kept = non_dominated([row.values(objectives) for row in defined])
    best = [row for row, keep in zip(defined, kept, strict=True) if keep]
    return sorted(best, key=lambda row: (row.values(objectives), row.design.cost_digest))


def _finished(options: SearchOptions, evaluator: Evaluator, run: str) -> SearchResult | None:
    """The result of a finished run from the store alone; None when it is not finished or scores are missing."""
    members = evaluator.store.members(run)
    if members is None:
        return None
    needed = scorers_of(options.objectives)
    found = [(member, evaluator.stored(member.design, needed)) for member in members if member.role == "space"]
    rows = tuple(Row(member.design, scores) for member, scores in found if scores is not None)
    if len(rows) < len(found):
        return None
    chosen = [(row.design, False) for row in _front(rows, options.objectives)]
    # By name: a stored design has its own name, but not its standing among the named ones.
    chosen += [(design(name), True) for name in REFERENCES]
    full = []
    for entry, reference in chosen:
        scores = evaluator.stored(entry, tuple(SCORERS.values()))
        if scores is None:
            return None
        full.append(Row(entry, scores, reference))
    front = tuple(row for row in full if not row.reference)
    return SearchResult(run, rows, front, tuple(row for row in full if row.reference), (), 0)


# ---- output


def write_results(folder: Path, options: SearchOptions, result: SearchResult) -> list[str]:
    """front.csv, the Pareto plots and run.json (what made them) in `folder`; returns the names of the results.

    Files of this very run that are already there are kept. Each file is written whole or not at all.
    """
    names = _output_names(options)
    record = folder / _RUN_NAME
    if _run_of(record) == result.run and all((folder / name).exists() for name in names) and not result.failures:
        return names
    record.unlink(missing_ok=True)  # Until all files are of this run, none may claim so.
    write_atomically(folder / "front.csv", front_csv(result.front, options.objectives).encode())
    if len(names) > 1 and result.rows:
        from dse.plots import pareto_plots

        title = f"{len(result.rows)} designs of space {options.space.name}, seed {options.seed}"
        for name, content in pareto_plots(
            result.rows, result.front, result.references, options.objectives, title=title
        ):
            write_atomically(folder / name, content)
    if not result.failures:
        data = {"run": result.run, "configuration": options.to_data(), "versions": _versions()}
        write_atomically(record, (json.dumps(data, indent=2) + "\n").encode())
    return names


def _output_names(options: SearchOptions) -> list[str]:
    pairs = [(x, y) for place, x in enumerate(options.objectives) for y in options.objectives[place + 1 :]]
    return ["front.csv", *(f"pareto_{x.name}_{y.name}.{kind}" for x, y in pairs for kind in ("png", "svg"))]


def _run_of(record: Path) -> str | None:
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found.get("run") if isinstance(found, dict) else None


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("approximate-dse", "numpy", "llvmlite", "torch", "pymoo"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed as a package"
    return found


def _print(options: SearchOptions, result: SearchResult, folder: Path, names: Sequence[str], seconds: float) -> None:
    screen = console()
    targets = ", ".join(column.name for column in options.objectives)
    what = f"{len(result.rows)} designs of space {options.space.name}, seed {options.seed}"
    print_scores(screen, f"Pareto front over {targets}: {len(result.front)} of {what}", result.front)
    print_scores(screen, "Reference designs", result.references)
    print_definitions(screen, [*result.front, *result.references])
    settings = options.settings
    notes = [
        f"* {cost_note()}.",
        *(f"{note}." for note in [estimates_note([*result.front, *result.references])] if note),
        f"NMED, MRED: {settings.samples:,} operand pairs uniform in [0, 1].",
        f"accuracy: {settings.model} on {settings.images:,} {settings.dataset} test images; loss: percentage points "
        "against exact products on the same images.",
        "PGD, FGSM: transfer rate, the share of stored adversarial examples made on the exact network that also fool "
        "this one.",
        *(f"not scored: {failure.design.label}: {failure.reason}" for failure in result.failures),
        f"Written to {folder}: {', '.join(names)}.",
        (f"{result.computed} designs computed" if result.computed else "Everything was in the store")
        + f", {seconds:.1f} s.",
    ]
    for note in notes:
        screen.print(note)


# ---- command line


def _parser() -> Parser:
    default = SearchOptions()
    parser = Parser(
        prog="python -m dse.search",
        description="Searches a space of multipliers for the best trade-offs; the same command continues a killed run.",
    )
    parser.add_argument(
        "--space", default=default.space.name, help=f"named space ({', '.join(SPACES)}) or a .toml file with [space]"
    )
    parser.add_argument(
        "--cells", metavar="FILE", help="TOML file of [cells.NAME] tables to add to the space (default: none)"
    )
    parser.add_argument(
        "--objectives",
        default=",".join(column.name for column in default.objectives),
        help=f"what to minimise, comma-separated: {', '.join(name for name, c in COLUMNS.items() if c.minimise)}",
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default=default.method,
        help="how designs are chosen (auto: exhaustive where the budget covers the space, else nsga2)",
    )
    parser.add_argument(
        "--population", type=integer(4, 10_000), default=default.population, help="designs in a generation"
    )
    parser.add_argument(
        "--budget", type=integer(1, 10_000_000), default=default.budget, help="designs of the space to score"
    )
    parser.add_argument("--seed", type=integer(0, 2**32 - 1), default=default.seed, help="of the search")
    parser.add_argument(
        "--images",
        type=integer(1, EMBEDDED_IMAGES),
        default=default.settings.images,
        help=f"test images that accuracy is measured on, at most {EMBEDDED_IMAGES}",
    )
    parser.add_argument(
        "--workers",
        type=integer(1, 1024),
        help="processes that score designs; never changes the result (default: one for each CPU)",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/default"), help="folder of store, front and plots")
    parser.add_argument(
        "--fresh",
        action="store_true",
        help=f"start over: set the folder's store aside as {STORE_NAME}.old (default: use its scores)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    return guarded(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    space = find_space(arguments.space)
    if arguments.cells is not None:
        space = space.with_cells(load_cells(arguments.cells))
    options = SearchOptions(
        space=space,
        objectives=objectives(name.strip() for name in arguments.objectives.split(",") if name.strip()),
        population=arguments.population,
        budget=arguments.budget,
        seed=arguments.seed,
        method=arguments.method,
        settings=Settings(images=arguments.images),
    )
    folder: Path = arguments.out
    require_writable(folder)
    if arguments.fresh:
        move_aside(folder / STORE_NAME)
    workers = arguments.workers or available_cpus()
    print(options.space.describe())
    print(f"method {options.chosen_method}, budget {options.budget:,} designs", flush=True)
    with Store(folder / STORE_NAME) as store:
        result = search(options, store, workers=workers, progress=True)
        names = write_results(folder, options, result)
    _print(options, result, folder, names, time.monotonic() - began)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
