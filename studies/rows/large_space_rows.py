"""Searches of a space of more than 10^9 designs by each method, compared by hypervolume over evaluations."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from circuits.cells.adder_cells import CELLS
from dse.explore.front import Judgement, non_dominated
from dse.explore.hypervolume import hypervolume
from dse.explore.methods import SEARCH_METHODS
from dse.explore.methods.exploration import Exploration
from dse.score.executor import Processes, available_cpus
from dse.score.scorers import SCORERS
from dse.score.scorers.scorer import ScoreSettings
from dse.space.search_space import Genome, Space
from studies.frame.study import Row

__all__ = [
    "LARGE_OBJECTIVES",
    "LARGE_SETTINGS",
    "LARGE_SPACE",
    "POPULATION",
    "Level",
    "large_space_rows",
    "large_space_text",
]

LARGE_SPACE = Space(
    name="positions",
    formats=("uint8",),
    topologies=("ripple_array", "carry_save_array"),
    granularity="cells",
    cells=tuple(CELLS[name] for name in ("exact", "ama1", "ama2", "ama3", "ama4", "ama5")),
)
LARGE_OBJECTIVES = ("energy", "delay", "nmed")
LARGE_SETTINGS = ScoreSettings(samples=20_000, cost_samples=512)
POPULATION = 20
_LEAST_ERROR = 1e-6
"""Lower bound of the NMED, whose axis is logarithmic."""
_NOT_REACHED = "not reached"


@dataclass(frozen=True)
class Level:
    """`seeds`; method -> evaluations; `checkpoints`: evaluations at which hypervolumes are reported."""

    seeds: tuple[int, ...]
    budgets: Mapping[str, int]
    checkpoints: tuple[int, ...]


def large_space_rows(level: Level) -> list[Row]:
    """Hypervolumes of each method and seed, and how soon the surrogate reaches that of nsga2's whole budget."""
    tasks = [(method, seed, budget) for method, budget in level.budgets.items() for seed in level.seeds]
    with Processes(_searched, available_cpus()) as executor:
        outcomes = executor.run(tasks)
    runs = {}
    for (method, seed, _), outcome in zip(tasks, outcomes, strict=True):
        if outcome.result is None:
            raise ValueError(f"{method} must search with seed {seed}, but: {outcome.error}")
        runs[method, seed] = np.array(outcome.result)
    everything = np.concatenate(list(runs.values()))
    low, high = everything.min(axis=0), everything.max(axis=0)
    volumes = {
        (method, seed): _volumes(
            (points - low) / (high - low), None if method == "surrogate" else {*level.checkpoints, len(points)}
        )
        for (method, seed), points in runs.items()
    }

    def at(method: str, seed: int, count: int) -> float:
        return volumes[method, seed][count]

    rows = [Row("large space", "genomes, log10", math.log10(LARGE_SPACE.size))]
    for method, budget in level.budgets.items():
        for count in [entry for entry in level.checkpoints if entry <= budget]:
            of_seeds = [at(method, seed, count) for seed in level.seeds]
            rows += [
                Row(method, f"hypervolume after {count:,}, seed {seed}", value)
                for seed, value in zip(level.seeds, of_seeds, strict=True)
            ]
            rows.append(Row(method, f"hypervolume after {count:,}, median", float(np.median(of_seeds))))
    goal_budget = level.budgets["nsga2"]
    goal = float(np.median([at("nsga2", seed, goal_budget) for seed in level.seeds]))
    budget = level.budgets["surrogate"]
    needed = [
        min([count for count, volume in volumes["surrogate", seed].items() if volume >= goal], default=math.inf)
        for seed in level.seeds
    ]
    median = float(np.median(needed))
    what = _needed(level)
    for of_what, evaluations in zip(
        [*(f"seed {seed}" for seed in level.seeds), "median"], [*needed, median], strict=True
    ):
        found = math.isfinite(evaluations)
        remark = "" if found else _NOT_REACHED
        rows.append(Row("surrogate", f"{what}, {of_what}", float(evaluations if found else budget), remark=remark))
    return rows


def large_space_text(rows: Sequence[Row], level: Level) -> str:
    """What `large_space_rows` say about the surrogate."""
    (median,) = (row for row in rows if row.quantity == f"{_needed(level)}, median")
    reached = "not within its budget" if median.remark else f"after {median.measured:,.0f} evaluations"
    return (
        f"in a space of 10^{math.log10(LARGE_SPACE.size):.0f} designs the surrogate reaches NSGA-II's hypervolume "
        f"after {level.budgets['nsga2']:,} evaluations {reached} (median of {len(level.seeds)} seeds)"
    )


def _needed(level: Level) -> str:
    return f"evaluations until nsga2's median hypervolume after {level.budgets['nsga2']:,}"


def _volumes(points: NDArray[np.float64], counts: Container[int] | None) -> dict[int, float]:
    """Evaluations -> hypervolume, after every population; only for these `counts`, if given."""
    volumes: dict[int, float] = {}
    front = points[:0]
    for count in range(POPULATION, len(points) + 1, POPULATION):
        front = np.concatenate([front, points[count - POPULATION : count]])
        front = front[non_dominated(front)]
        if counts is None or count in counts:
            volumes[count] = hypervolume(front)
    return volumes


def _searched(task: tuple[str, int, int]) -> list[tuple[float, ...]]:
    """The points of what a search by (method, seed, budget) evaluates, in order, as on their axes."""
    method, seed, budget = task
    found: list[tuple[float, ...]] = []

    def evaluate(genomes: Sequence[Genome]) -> list[Judgement]:
        points = [_point(genome) for genome in genomes]
        found.extend(points)
        return [Judgement(list(point)) for point in points]

    explore: Callable[[Exploration], None] = SEARCH_METHODS[method]
    explore(
        Exploration(
            space=LARGE_SPACE,
            budget=budget,
            population=POPULATION,
            seed=seed,
            objectives=len(LARGE_OBJECTIVES),
            constraints=0,
            key=_key,
            evaluate=evaluate,
            stream=_no_stream,
            scales=("linear",) * len(LARGE_OBJECTIVES),
        )
    )
    assert len(found) == budget
    return found


def _no_stream(genomes: Iterator[Genome]) -> Iterator[tuple[Genome, Judgement]]:
    raise AssertionError("only asynchronous searches stream")


@lru_cache(maxsize=1 << 14)
def _key(genome: Genome) -> str:
    return LARGE_SPACE.decode(genome).cost_digest


@lru_cache(maxsize=1 << 17)
def _point(genome: Genome) -> tuple[float, ...]:
    """The objectives of a design as on their axes: the error logarithmic."""
    scores: dict[str, float] = {}
    for name in ("error", "cost"):
        scores |= SCORERS[name].measure(LARGE_SPACE.decode(genome), LARGE_SETTINGS)
    values = [scores[name] for name in LARGE_OBJECTIVES]
    return (*values[:-1], math.log10(max(values[-1], _LEAST_ERROR)))
