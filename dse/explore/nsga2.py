"""NSGA-II over the integer genomes of a space, through pymoo's ask-and-tell interface.

Deb, Pratap, Agarwal, Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE Transactions on
Evolutionary Computation 6(2), 2002, with its constrained domination (section VI). Genes are categories without an
order, so two-point crossover (neighbouring places stay together) and resampling replace that paper's real-valued
operators.

`evolve` evaluates every generation whole before the next one is made: with the same seed the same genomes come in the
same order, whatever evaluates them. `evolve_asynchronously` breeds a new design whenever a worker is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.config import Config
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.evaluator import Evaluator
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.crossover.pntx import TwoPointCrossover
from pymoo.problems.static import StaticProblem

from dse.explore.front import Judgement
from dse.space.search_space import Genome, Space

Config.warnings["not_compiled"] = False

_TRIES = 100
"""Random genomes drawn for each place in the first population before a space counts as used up."""
_HOPELESS = 1e9
"""The violation of a design without objective values that breaks no constraint: it breeds last."""


Evaluate = Callable[[Sequence[Genome]], Sequence[Judgement]]


@dataclass(frozen=True, kw_only=True)
class Evolution:
    """What both ways of evolving share.

    Up to `budget` distinct designs of `space` are evaluated; `key` identifies the design of a genome, and no two
    genomes of one key are evaluated. The first population holds uniform arrays of every cell and random genomes.
    """

    space: Space
    population: int
    budget: int
    seed: int
    objectives: int
    constraints: int
    key: Callable[[Genome], str]

    def evolve(self, evaluate: Evaluate) -> None:
        """Generation by generation; `evaluate` judges each genome of one."""
        seen: set[str] = set()
        algorithm = self._algorithm(seen, self.population)
        while (remaining := self.budget - len(seen)) > 0:
            offspring = algorithm.ask()
            if offspring is None or not len(offspring):
                return  # No new design can be bred any more.
            offspring = offspring[:remaining]
            genomes = [_genome(row) for row in offspring.get("X")]
            seen.update(map(self.key, genomes))
            self._tell(algorithm, offspring, evaluate(genomes))

    def evolve_asynchronously(self, stream: Callable[[Iterator[Genome]], Iterator[tuple[Genome, Judgement]]]) -> None:
        """One design at a time, whenever `stream`, which judges genomes as they end, takes one.

        While the first population is not complete, random designs keep the other workers busy.
        """
        seen: set[str] = set()
        algorithm = self._algorithm(seen, 1)
        first = algorithm.ask()
        known: list[tuple[Genome, Judgement]] = []
        begun = False

        def genomes() -> Iterator[Genome]:
            waiting = [_genome(row) for row in first.get("X")]
            fresh = self._random(_TRIES * self.budget)
            while len(seen) < self.budget:
                if waiting:
                    following: Genome | None = waiting.pop(0)
                elif begun:
                    bred = algorithm.ask()
                    following = _genome(bred.get("X")[0]) if bred is not None and len(bred) else None
                else:
                    following = next((genome for genome in fresh if self.key(genome) not in seen), None)
                if following is None:
                    return
                seen.add(self.key(following))
                yield following

        for genome, judgement in stream(genomes()):
            known.append((genome, judgement))
            if begun or len(known) >= len(first):
                begun = True
                rows = Population.new(X=np.array([entry for entry, _ in known]))
                self._tell(algorithm, rows, [entry for _, entry in known])
                known.clear()

    def _algorithm(self, seen: set[str], offsprings: int) -> Any:
        first = self._first_population()
        bounds = np.array(self.space.bounds)
        problem = Problem(
            n_var=len(bounds),
            n_obj=self.objectives,
            n_ieq_constr=self.constraints + 1,
            xl=0,
            xu=bounds - 1,
            vtype=int,
        )
        algorithm = NSGA2(
            pop_size=len(first),
            n_offsprings=min(offsprings, len(first)),
            sampling=np.array(first),
            crossover=TwoPointCrossover(),
            mutation=_Resample(bounds),
            eliminate_duplicates=_SameDesign(self.key, seen),
        )
        # The budget ends the search, not pymoo's own criteria.
        algorithm.setup(problem, termination=("n_gen", 10**9), seed=self.seed)
        return algorithm

    def _tell(self, algorithm: Any, offspring: Any, judged: Sequence[Judgement]) -> None:
        unknown = [0.0] * self.objectives
        known = StaticProblem(
            algorithm.problem,
            F=np.array([unknown if entry.values is None else entry.values for entry in judged], dtype=float),
            G=np.array([self._excess(entry) for entry in judged], dtype=float),
        )
        Evaluator().eval(known, offspring)
        algorithm.tell(infills=offspring)

    def _excess(self, entry: Judgement) -> list[float]:
        """A column a constraint and one for "has no values"; positive where it is broken, as pymoo wants it."""
        assert len(entry.violations) == self.constraints
        excess = [min(value, _HOPELESS) for value in entry.violations]
        return [*excess, _HOPELESS if entry.values is None and not any(excess) else 0.0]

    def _first_population(self) -> list[Genome]:
        count = min(self.population, self.budget)
        chosen: dict[str, Genome] = {}
        for genome in self.space.uniform()[:count]:
            chosen.setdefault(self.key(genome), genome)
        for genome in self._random(_TRIES * count):
            if len(chosen) == count:
                break
            chosen.setdefault(self.key(genome), genome)
        return list(chosen.values())

    def _random(self, tries: int) -> Iterator[Genome]:
        stream = np.random.default_rng([self.seed, 1])
        return (_genome(stream.integers(0, self.space.bounds)) for _ in range(tries))


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
