"""NSGA-II over the integer genomes of a space, through pymoo's ask-and-tell interface.

Deb, Pratap, Agarwal, Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE Transactions on
Evolutionary Computation 6(2), 2002. Genes are categories without an order, so two-point crossover (neighbouring bands
stay together) and resampling replace that paper's real-valued operators. Every generation is evaluated whole before
the next one is made: with the same seed the same genomes come in the same order, whatever evaluates them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.config import Config
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.evaluator import Evaluator
from pymoo.core.mutation import Mutation
from pymoo.core.problem import Problem
from pymoo.operators.crossover.pntx import TwoPointCrossover
from pymoo.problems.static import StaticProblem

from dse.space import Genome, Space

Config.warnings["not_compiled"] = False

Evaluate = Callable[[Sequence[Genome]], Sequence[Sequence[float] | None]]
_TRIES = 100
"""Random genomes drawn for each place in the first population before a space counts as used up."""


def evolve(
    space: Space,
    *,
    population: int,
    budget: int,
    seed: int,
    objectives: int,
    key: Callable[[Genome], str],
    evaluate: Evaluate,
) -> None:
    """Evaluates up to `budget` distinct designs of `space`, generation by generation.

    `key` identifies the design of a genome: no two genomes of one key are evaluated. `evaluate` gives the objective
    values (minimised) of each genome of a generation, or None where there are none; such a design breeds last.
    The first population holds a uniform array of every cell and random genomes.
    """
    seen: set[str] = set()
    first = _first_population(space, min(population, budget), seed, key)
    problem = Problem(
        n_var=len(space.bounds), n_obj=objectives, n_ieq_constr=1, xl=0, xu=np.array(space.bounds) - 1, vtype=int
    )
    algorithm = NSGA2(
        pop_size=len(first),
        sampling=np.array(first),
        crossover=TwoPointCrossover(),
        mutation=_Resample(np.array(space.bounds)),
        eliminate_duplicates=_SameDesign(key, seen),
    )
    # The budget below ends the search, not pymoo's own criteria.
    algorithm.setup(problem, termination=("n_gen", 10**9), seed=seed)
    while (remaining := budget - len(seen)) > 0:
        offspring = algorithm.ask()
        if offspring is None or not len(offspring):
            return  # No new design can be bred any more.
        offspring = offspring[:remaining]
        genomes = [_genome(row) for row in offspring.get("X")]
        seen.update(map(key, genomes))
        values = evaluate(genomes)
        failed = [entry is None for entry in values]
        known = StaticProblem(
            problem,
            F=np.array([[0.0] * objectives if entry is None else entry for entry in values], dtype=float),
            G=np.where(failed, 1.0, -1.0)[:, None],
        )
        Evaluator().eval(known, offspring)
        algorithm.tell(infills=offspring)


def _first_population(space: Space, count: int, seed: int, key: Callable[[Genome], str]) -> list[Genome]:
    stream = np.random.default_rng([seed, 1])
    chosen: dict[str, Genome] = {}
    for genome in space.uniform()[:count]:
        chosen.setdefault(key(genome), genome)
    for _ in range(_TRIES * count):
        if len(chosen) == count:
            break
        genome = _genome(stream.integers(0, space.bounds))
        chosen.setdefault(key(genome), genome)
    return list(chosen.values())


def _genome(row: Any) -> Genome:
    return tuple(map(int, row))


class _SameDesign(DuplicateElimination):  # type: ignore[misc]  # pymoo has no types
    """Drops offspring whose design was evaluated before, is in the population or stands earlier in the offspring."""

    def __init__(self, key: Callable[[Genome], str], seen: set[str]) -> None:
        super().__init__()
        self._key = key
        self._seen = seen

    def _do(self, pop: Any, other: Any, is_duplicate: NDArray[np.bool_]) -> NDArray[np.bool_]:
        known = set(self._seen) if other is None else {self._key(_genome(row)) for row in other.get("X")}
        for index, row in enumerate(pop.get("X")):
            key = self._key(_genome(row))
            is_duplicate[index] = key in known
            if other is None:
                known.add(key)
        return is_duplicate


class _Resample(Mutation):  # type: ignore[misc]  # pymoo has no types
    """Gives each gene, with probability 1 / genes, another of its values, all equally likely."""

    def __init__(self, bounds: NDArray[np.int64]) -> None:
        super().__init__()
        self._bounds = bounds

    def _do(
        self, problem: Any, X: NDArray[np.int64], *args: Any, random_state: Any = None, **kwargs: Any
    ) -> NDArray[np.int64]:
        chosen = (random_state.random(X.shape) < 1 / X.shape[1]) & (self._bounds > 1)
        shift = random_state.integers(1, np.maximum(self._bounds, 2), X.shape)
        return np.where(chosen, (X + shift) % self._bounds, X)
