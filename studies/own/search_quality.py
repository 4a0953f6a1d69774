"""How good the fronts of searches are, by hypervolume, in a small space and in a large one.

The small space is scored completely: a search with a tenth of the evaluations is compared with the exhaustive front.
Each design is scored only once; the searches then look up the scores, and every distinct design that they request
counts as one evaluation. The large space has more than 10^9 designs: methods are compared with one another, as soon as
possible and after many evaluations. Scores are those of the circuit alone.

Default searches are repeated with everything measured that they skipped: the front must stay the same.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from circuits.cells.adder_cells import CELLS
from dse.explore.front import Judgement, non_dominated
from dse.explore.hypervolume import hypervolume
from dse.explore.nsga2 import Evolution
from dse.explore.search_options import SearchOptions
from dse.score.evaluation import Evaluator, Failure, measure
from dse.score.executor import Processes, available_cpus
from dse.score.scorers import SCORERS
from dse.score.scorers.scorer import ScoreSettings
from dse.score.store import Store
from dse.space.search_space import Genome, Space
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.rows.large_space_rows import (
    LARGE_OBJECTIVES,
    LARGE_SETTINGS,
    LARGE_SPACE,
    Level,
    large_space_rows,
    large_space_text,
)
from studies.rows.skipped_rows import skipped_rows, skipped_text

TITLE = "Fronts of searches: against the exhaustive front, in a large space, and without what was skipped"
SOURCE = "our own study"
TOLERANCE = 0.01

OBJECTIVES = ("energy", "delay", "nmed")
SPACE = Space(
    name="small",
    formats=("bfloat16",),
    ports=("psc", "scp", "csp", "pcs"),
    bands=(0, 6, 9, 12),
    half_adders=("cell",),
    final_adders=("exact",),
    cells=tuple(CELLS[name] for name in ("exact", "ama2", "ama3", "ama4", "ama5")),
)
SETTINGS = ScoreSettings(samples=20_000, cost_samples=1024)
POPULATION = 20
SEEDS = 5
WANTED = 0.97
DEFAULT = Level(
    seeds=(0, 1, 2, 3, 4),
    budgets={"random": 5000, "nsga2": 5000, "surrogate": 1000},
    checkpoints=(500, 1000, 5000),
)
QUICK = Level(seeds=(0,), budgets={"random": 300, "nsga2": 300, "surrogate": 160}, checkpoints=(160, 300))
_LEAST_ERROR = 1e-6
"""Lower bound of the NMED, whose axis is logarithmic."""

_DESIGNS, _MEDIAN = "distinct designs", "hypervolume, median"
Points = NDArray[np.float64]


def run(options: StudyOptions) -> StudyResult:
    """Scores the small space and searches it with each seed by NSGA-II and at random; then searches the large one."""
    level = QUICK if options.level == "quick" else DEFAULT
    small = options.part("small space", _small_rows)
    large = options.part("large space", partial(large_space_rows, level))
    skipped: list[Row] = []
    for search in _searches(options.level):
        skipped += options.part(f"skipped designs, seed {search.seed}", partial(skipped_rows, search))
    of_small = {(row.subject, row.quantity): row.measured for row in small}
    designs = int(of_small["", _DESIGNS])
    medians = {method: of_small[method, _MEDIAN] for method in ("nsga2", "random")}
    verdict = "reaches" if medians["nsga2"] >= 100 * WANTED else "does not reach"
    return StudyResult(
        [*small, *large, *skipped],
        "measured",
        f"with {designs // 10} of {designs} evaluations NSGA-II {verdict} {100 * WANTED:g} % of the hypervolume of the "
        f"exhaustive front: median {medians['nsga2']:.2f} % over {SEEDS} seeds (random: {medians['random']:.2f} %); "
        f"{large_space_text(large, level)}; {skipped_text(skipped)}",
        {
            "space": SPACE.to_data(),
            "objectives": list(OBJECTIVES),
            "scale": "each objective from its least to its largest value in the space, NMED as log10 from "
            f"{_LEAST_ERROR:g}",
            "reference point": "the largest value of each objective",
            "population": POPULATION,
            "budget": designs // 10,
            "samples": SETTINGS.samples,
            "cost_samples": SETTINGS.cost_samples,
            "large_space": LARGE_SPACE.to_data(),
            "large_objectives": list(LARGE_OBJECTIVES),
            "large_scale": "each objective from its least to its largest value over all runs, NMED as log10 from 1e-6; "
            "reference point 1 in each",
            "large_budgets": dict(level.budgets),
            "large_seeds": list(level.seeds),
            "large_samples": LARGE_SETTINGS.samples,
            "large_cost_samples": LARGE_SETTINGS.cost_samples,
        },
    )


def _small_rows() -> list[Row]:
    keys, points = _score()
    front = points[non_dominated(points)]
    exhaustive_volume = _volume(front)
    rows = [
        Row("space", "genomes", SPACE.size),
        Row("", _DESIGNS, len(points)),
        Row("", "designs on the exhaustive front", len(front)),
    ]
    for method in ("nsga2", "random"):
        shares = [
            100 * _volume(points[_search(method, seed, len(points) // 10, keys, points)]) / exhaustive_volume
            for seed in range(SEEDS)
        ]
        rows += [
            Row(method, f"hypervolume, seed {seed}", share, unit="% of exhaustive") for seed, share in enumerate(shares)
        ]
        rows.append(Row(method, _MEDIAN, float(np.median(shares)), unit="% of exhaustive"))
    return rows


def _searches(level: str) -> list[SearchOptions]:
    """The searches whose skipped designs are scored."""
    if level != "quick":
        return [SearchOptions(seed=seed) for seed in range(3)]
    settings = ScoreSettings(images=400, attack_images=2, samples=2000, cost_samples=64)
    return [SearchOptions(budget=16, population=8, references=("exact",), settings=settings)]


def _score() -> tuple[dict[Genome, int], Points]:
    """Scores the whole space. Returns genome -> index, and points [designs, objectives] scaled to 0 .. 1."""
    decoded = {genome: SPACE.decode(genome) for genome in SPACE.genomes()}
    distinct = {design.cost_digest: design for design in decoded.values()}
    scorers = tuple(SCORERS[name] for name in ("error", "cost"))
    with (
        tempfile.TemporaryDirectory() as folder,
        Store(Path(folder) / "store.sqlite") as store,
        Processes(measure, available_cpus()) as executor,
    ):
        scores = Evaluator(store, executor, SETTINGS).score(list(distinct.values()), scorers)
    values = []
    for score in scores:
        if isinstance(score, Failure):
            raise ValueError(f"{score.design.label} must be scored, but: {score.reason}")
        values.append([_scaled(name, score[name]) for name in OBJECTIVES])
    points = np.array(values)
    points = (points - points.min(0)) / (points.max(0) - points.min(0))
    index_of = {digest: index for index, digest in enumerate(distinct)}
    return {genome: index_of[design.cost_digest] for genome, design in decoded.items()}, points


def _scaled(name: str, value: float) -> float:
    """Returns the value of an objective on its axis: logarithmic for the NMED, linear for the others."""
    return math.log10(max(value, _LEAST_ERROR)) if name == "nmed" else value


def _search(method: str, seed: int, budget: int, keys: dict[Genome, int], points: Points) -> list[int]:
    """Runs a search and returns the indices of the distinct designs that it requested."""
    requested: list[int] = []
    if method == "random":
        for genome in SPACE.sample(seed, 100 * budget):
            if keys[genome] not in requested:
                requested.append(keys[genome])
            if len(requested) == budget:
                break
        return requested

    def evaluate(genomes: Sequence[Genome]) -> list[Judgement]:
        requested.extend(keys[genome] for genome in genomes)
        return [Judgement(list(points[keys[genome]])) for genome in genomes]

    Evolution(
        space=SPACE,
        population=POPULATION,
        budget=budget,
        seed=seed,
        objectives=len(OBJECTIVES),
        constraints=0,
        key=lambda genome: str(keys[genome]),
    ).evolve(evaluate)
    assert len(requested) == len(set(requested)) <= budget
    return requested


def _volume(points: Points) -> float:
    """Returns the hypervolume that `points` dominate with respect to the reference point (1, ..., 1)."""
    return hypervolume(points)
