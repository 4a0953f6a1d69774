"""NSGA-II over the integer genomes of a space, through pymoo's ask-and-tell interface.

Deb, Pratap, Agarwal, Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE Transactions on
Evolutionary Computation 6(2), 2002. A generation goes through these operators:

- Ranking: constrained domination (section VI). A design that meets all constraints beats one that does not; of two
  that do not, the smaller total violation wins; of two that do, Pareto dominance decides, then the crowding distance,
  so that the front stays spread out.
- Parents: binary tournaments by that ranking.
- Crossover: two-point. Genes are categories without an order, so the paper's simulated binary crossover means nothing
  here; two cuts exchange a run of neighbouring places, and neighbouring places of an array matter together.
- Mutation: each gene takes, with probability 1 / genes, another of its values, all equally likely. The paper's
  polynomial mutation prefers near values, and categories have none.
- Duplicates: an offspring whose design was evaluated before is dropped and bred again, so the budget counts designs.
- Survival: parents and offspring together, the best ranks first (elitism).

What determinism rests on: pymoo draws from one generator seeded with `seed`, our first population from
[seed, 1], and `evolve` judges a whole generation before it breeds the next. Hence the same seed gives the same genomes
in the same order, whatever evaluates them and however long that takes. `evolve_asynchronously` breeds a new design
whenever a worker is free: its order of judgements, and with it all that follows, depends on the workers' speed.
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
"""Random genomes drawn for each member of the first population before a space counts as used up."""
_HOPELESS = 1e9
"""Constraint violation given to designs that could not be scored, so they rank last."""


Evaluate = Callable[[Sequence[Genome]], Sequence[Judgement]]


@dataclass(frozen=True, kw_only=True)
class Evolution:
    """An evolution of designs in `space`, up to `budget` distinct ones.

    `key` identifies the design of a genome; no two genomes with equal keys are evaluated. `objectives` and
    `constraints` say how many values and violations a judgement has. The first population holds the genomes `first`,
    the uniform arrays of every cell, which span the space's extremes, and random genomes. `known`: genomes that are
    judged already; they count towards the budget and join the first population.
    """

    space: Space
    population: int
    budget: int
    seed: int
    objectives: int
    constraints: int
    key: Callable[[Genome], str]
    first: tuple[Genome, ...] = ()
    known: tuple[tuple[Genome, Judgement], ...] = ()

    def evolve(self, evaluate: Evaluate) -> None:
        """Evolves generation by generation; `evaluate` judges the genomes of one generation, in order."""
        seen = {self.key(genome) for genome, _ in self.known}
        algorithm = self._algorithm(seen, self.population)
        known = self.known
        while (remaining := self.budget - len(seen)) > 0:
            offspring = algorithm.ask()
            if offspring is None or not len(offspring):
                return  # No new design can be bred any more.
            genomes = [_genome(row) for row in offspring[:remaining].get("X")]
            seen.update(map(self.key, genomes))
            self._learn(algorithm, [*zip(genomes, evaluate(genomes), strict=True), *known])
            known = ()

    def evolve_asynchronously(self, stream: Callable[[Iterator[Genome]], Iterator[tuple[Genome, Judgement]]]) -> None:
        """Evolves design by design: breeds one whenever `stream` takes one, and learns from each that it yields.

        Until the first population is judged there is nothing to breed from: random designs keep free workers busy.
        """
        seen = {self.key(genome) for genome, _ in self.known}
        algorithm = self._algorithm(seen, 1)
        first = algorithm.ask()
        known = list(self.known)
        awaited = len(known) + len(first)
        begun = False

        def genomes() -> Iterator[Genome]:
            waiting = [_genome(row) for row in first.get("X")]
            random_genomes = self._random(_TRIES * self.budget)
            while len(seen) < self.budget:
                if waiting:
                    following: Genome | None = waiting.pop(0)
                elif begun:
                    bred = algorithm.ask()
                    following = _genome(bred.get("X")[0]) if bred is not None and len(bred) else None
                else:
                    following = next((genome for genome in random_genomes if self.key(genome) not in seen), None)
                if following is None:
                    return
                seen.add(self.key(following))
                yield following

        for genome, judgement in stream(genomes()):
            known.append((genome, judgement))
            if begun or len(known) >= awaited:
                begun = True
                self._learn(algorithm, known)
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

    def _learn(self, algorithm: Any, known: Sequence[tuple[Genome, Judgement]]) -> None:
        rows = Population.new(X=np.array([genome for genome, _ in known]))
        self._tell(algorithm, rows, [judgement for _, judgement in known])

    def _tell(self, algorithm: Any, offspring: Any, judged: Sequence[Judgement]) -> None:
        # Ranked by its violation alone, so its values do not matter.
        unknown = [0.0] * self.objectives
        known = StaticProblem(
            algorithm.problem,
            F=np.array(
                [unknown if judgement.values is None else judgement.values for judgement in judged], dtype=float
            ),
            G=np.array([self._excess(judgement) for judgement in judged], dtype=float),
        )
        Evaluator().eval(known, offspring)
        algorithm.tell(infills=offspring)

    def _excess(self, judgement: Judgement) -> list[float]:
        """One number for each constraint and one for "has no values"; positive where broken, as pymoo wants it."""
        assert len(judgement.violations) == self.constraints
        # An undefined score violates by infinity. pymoo adds violations up, so they are kept finite.
        excess = [min(value, _HOPELESS) for value in judgement.violations]
        return [*excess, _HOPELESS if judgement.values is None and not any(excess) else 0.0]

    def _first_population(self) -> list[Genome]:
        judged = {self.key(genome) for genome, _ in self.known}
        count = min(self.population, self.budget - len(judged))
        members: dict[str, Genome] = {}
        for genome in [*self.first, *self.space.uniform()][:count]:
            if self.key(genome) not in judged:
                members.setdefault(self.key(genome), genome)
        for genome in self._random(_TRIES * count):
            if len(members) == count:
                break
            if self.key(genome) not in judged:
                members.setdefault(self.key(genome), genome)
        return list(members.values())

    def _random(self, tries: int) -> Iterator[Genome]:
        generator = np.random.default_rng([self.seed, 1])  # Space.sample draws from [seed, 2]
        return (_genome(generator.integers(0, self.space.bounds)) for _ in range(tries))


def _genome(row: Any) -> Genome:
    return tuple(map(int, row))


class _SameDesign(DuplicateElimination):  # type: ignore[misc]  # pymoo has no types
    """Drops offspring whose design was evaluated before, is in the population or is that of an earlier offspring."""

    def __init__(self, key: Callable[[Genome], str], seen: set[str]) -> None:
        super().__init__()
        self._key = key
        self._seen = seen

    def _do(self, pop: Any, other: Any, is_duplicate: NDArray[np.bool_]) -> NDArray[np.bool_]:
        # pymoo asks first about duplicates among the offspring (`other` is None), then about those in a population.
        known = set(self._seen) if other is None else {self._key(_genome(row)) for row in other.get("X")}
        for index, row in enumerate(pop.get("X")):
            key = self._key(_genome(row))
            is_duplicate[index] = key in known
            if other is None:
                known.add(key)
        return is_duplicate


class _Resample(Mutation):  # type: ignore[misc]  # pymoo has no types
    """Gives each gene, with probability 1 / genes, another of its values, all equally likely.

    A shift by 1 to bound - 1 modulo the bound reaches every other value once, and never the same one. Genes with a
    single value stay (their shift is drawn all the same, so that the draws of other genes do not depend on them).
    """

    def __init__(self, bounds: NDArray[np.int64]) -> None:
        super().__init__()
        self._bounds = bounds

    def _do(
        self, problem: Any, X: NDArray[np.int64], *args: Any, random_state: Any = None, **kwargs: Any
    ) -> NDArray[np.int64]:
        mutates = (random_state.random(X.shape) < 1 / X.shape[1]) & (self._bounds > 1)
        shift = random_state.integers(1, np.maximum(self._bounds, 2), X.shape)
        return np.where(mutates, (X + shift) % self._bounds, X)
