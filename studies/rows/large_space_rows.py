"""Searches of a space of more than 10^9 designs by each method, compared by hypervolume over evaluations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from circuits.cells.adder_cells import CELLS
from dse.explore.front import Judgement
from dse.explore.hypervolume import hypervolume
from dse.explore.methods import SEARCH_METHODS
from dse.explore.methods.exploration import Exploration
from dse.score.scorers import SCORERS
from dse.score.scorers.scorer import ScoreSettings
from dse.space.search_space import Genome, Space
from studies.frame.study import Row

__all__ = ["LARGE_OBJECTIVES", "LARGE_SETTINGS", "LARGE_SPACE", "POPULATION", "Level", "large_space_rows"]

Points = NDArray[np.float64]
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


@dataclass(frozen=True)
class Level:
    """`seeds`; method -> evaluations; `checkpoints`: evaluations at which hypervolumes are reported."""

    seeds: tuple[int, ...]
    budgets: Mapping[str, int]
    checkpoints: tuple[int, ...]


@dataclass
class _Run:
    """The objectives of what one search evaluated, in order, as on their axes."""

    points: list[tuple[float, ...]] = field(default_factory=list)


def large_space_rows(level: Level) -> tuple[list[Row], str]:
    """(rows of the hypervolume of each method and seed, what they say about the surrogate)."""
    runs = {
        (method, seed): _searched(method, seed, budget)
        for method, budget in level.budgets.items()
        for seed in level.seeds
    }
    everything = np.concatenate([np.array(run.points) for run in runs.values()])
    low, high = everything.min(axis=0), everything.max(axis=0)
    volumes = {
        key: [hypervolume((np.array(run.points[:count]) - low) / (high - low)) for count in _counts(len(run.points))]
        for key, run in runs.items()
    }

    def at(method: str, seed: int, count: int) -> float:
        return volumes[method, seed][_counts(level.budgets[method]).index(count)]

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
    needed = []
    for seed in level.seeds:
        curve = zip(_counts(level.budgets["surrogate"]), volumes["surrogate", seed], strict=True)
        needed.append(next((float(count) for count, volume in curve if volume >= goal), math.inf))
    median = float(np.median(needed))
    what = f"evaluations until nsga2's median hypervolume after {goal_budget:,}"
    rows += [Row("surrogate", f"{what}, seed {seed}", count) for seed, count in zip(level.seeds, needed, strict=True)]
    rows.append(Row("surrogate", f"{what}, median", median))
    reached = f"after {median:,.0f} evaluations" if math.isfinite(median) else "not within its budget"
    return rows, (
        f"in a space of 10^{math.log10(LARGE_SPACE.size):.0f} designs the surrogate reaches NSGA-II's hypervolume "
        f"after {goal_budget:,} evaluations {reached} (median of {len(level.seeds)} seeds)."
    )


def _counts(budget: int) -> list[int]:
    """Evaluations after which the hypervolume is taken: every population."""
    return list(range(POPULATION, budget + 1, POPULATION))


def _searched(method: str, seed: int, budget: int) -> _Run:
    """What a search by that method evaluates."""
    run = _Run()

    def evaluate(genomes: Sequence[Genome]) -> list[Judgement]:
        points = [_point(genome) for genome in genomes]
        run.points.extend(points)
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
    assert len(run.points) == budget
    return run


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
