"""Method "surrogate": Gaussian processes propose what to evaluate next, for spaces where every evaluation counts.

As ParEGO and its kin (Knowles, IEEE Transactions on Evolutionary Computation 10(1), 2006), but for a whole front at
once. After a first sample, batch by batch:

1. A surrogate of each objective, and of the violation of constraints, is fitted to all judgements
   (`dse.explore.surrogate_model`).
2. An evolution on the surrogates alone looks for genomes with a good optimistic prediction, mean - k deviations: a
   design that is predicted well or hardly known. It starts from the front, its neighbours and random genomes.
3. Of the designs found, those are evaluated that would together add most to the hypervolume of the front.

All draws come from [seed, 3]. Fitting takes seconds for a thousand designs; cheap scores are better left to nsga2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dse.explore.front import Judgement, non_dominated
from dse.explore.methods.exploration import Exploration
from dse.explore.methods.layer_seeds import layer_seeds
from dse.space.search_space import Genome, Space

__all__ = ["explore_by_surrogate"]

Genomes = NDArray[np.int64]
Floats = NDArray[np.float64]
_FIRST = 2
"""The first sample, over the population."""
_TRAINED = 1200
"""Most designs that a surrogate is fitted to: the front, and the latest others."""
_GENERATIONS = 12
"""Of the evolution on the surrogates."""
_INNER = 100
"""Its population."""
_OPTIMISM = (0.0, 0.5, 1.0)
"""Deviations below the mean, batch by batch: what is predicted best, then what is known least."""
_POINTS = 20_000
"""Random points by which hypervolumes are compared."""
_LEAST_RATIO = 1e-9
"""A logarithmic objective is bounded below by this part of its largest value: an error may be 0."""


def explore_by_surrogate(exploration: Exploration) -> None:
    """Evaluates designs until the budget is spent or no new one is found."""
    _Search(exploration).run()


class _Search:
    """`genomes`, `judgements`: of all designs evaluated so far; `seen`: their keys."""

    def __init__(self, exploration: Exploration) -> None:
        self.exploration = exploration
        self.bounds = np.array(exploration.space.bounds)
        self.random = np.random.default_rng([exploration.seed, 3])
        self.seen: set[str] = set()
        self.genomes: list[Genome] = []
        self.judgements: list[Judgement] = []

    def run(self) -> None:
        exploration = self.exploration
        seeds = layer_seeds(exploration)
        self.genomes, self.judgements = list(seeds.genomes), list(seeds.judgements)
        self.seen = set(map(exploration.key, seeds.genomes))
        first = min(exploration.budget - len(self.seen), _FIRST * exploration.population)
        space = exploration.space
        # Half of the first sample at most: the extremes of a space tell little about its middle.
        self._evaluate([*seeds.chains, *space.uniform()], max(1, first // 2))
        # Crossed extremes next to random designs: in a large space the latter alone lie far from any front.
        extremes = np.array(self.genomes, dtype=np.int64)
        mothers, fathers = (extremes[self.random.integers(0, len(extremes), first)] for _ in range(2))
        left = len(seeds.genomes) + first - len(self.seen)
        self._evaluate(_tuples(self._mutated(self._crossed(mothers, fathers))), left - left // 4)
        self._evaluate(self._drawn(100 * first), len(seeds.genomes) + first - len(self.seen))
        batch = 0
        while (left := exploration.budget - len(self.seen)) > 0:
            before = len(self.seen)
            self._evaluate(self._proposed(batch), min(exploration.population, left))
            if len(self.seen) == before:
                # The surrogates propose nothing new: anything new will do.
                self._evaluate(self._drawn(100 * left), min(exploration.population, left))
            if len(self.seen) == before:
                return
            batch += 1

    def _evaluate(self, genomes: Sequence[Genome], most: int) -> None:
        """Evaluates the first `most` of these designs that are new."""
        chosen: list[Genome] = []
        for genome in genomes:
            if len(chosen) >= most:
                break
            key = self.exploration.key(genome)
            if key not in self.seen:
                self.seen.add(key)
                chosen.append(genome)
        if chosen:
            self.judgements += self.exploration.evaluate(chosen)
            self.genomes += chosen

    def _drawn(self, count: int) -> list[Genome]:
        return _tuples(self.random.integers(0, self.bounds, (min(count, 10_000), len(self.bounds))))

    def _proposed(self, batch: int) -> list[Genome]:
        """Genomes to evaluate, best first."""
        scored = [number for number, judged in enumerate(self.judgements) if judged.values is not None]
        if len(scored) < 2:
            return []
        genomes = np.array([self.genomes[number] for number in scored], dtype=np.int64)
        values = self._warped(np.array([self.judgements[number].values for number in scored], dtype=float))
        violations = self._violations(scored)
        best = _front(values, violations)
        trained = np.union1d(best, np.arange(len(scored))[-_TRAINED:])[-2 * _TRAINED :]
        model = _Model(self.exploration.space, genomes[trained], values[trained], violations[trained])
        found = self._evolve(model, genomes[best], _OPTIMISM[batch % len(_OPTIMISM)])
        bounds = model.bound(found, _OPTIMISM[batch % len(_OPTIMISM)])
        return _tuples(found[_covering(*bounds, values, values[best], self.random)])

    def _violations(self, scored: Sequence[int]) -> Floats:
        """Total violation of each of these designs, logarithmically: far off is far off. Not scored in part: 0."""
        totals = [sum(self.judgements[number].violations) for number in scored]
        return np.asarray(np.log1p(np.minimum(np.array(totals, dtype=float), 1e9)))

    def _warped(self, values: Floats) -> Floats:
        """Values as their axes show them."""
        warped: Floats = values.copy()
        for column, scale in enumerate(self.exploration.scales):
            own = values[:, column]
            if scale == "log" and own.max() > 0:
                warped[:, column] = np.log10(np.maximum(own, _LEAST_RATIO * own.max()))
            elif scale == "symlog":
                warped[:, column] = np.sign(own) * np.log1p(np.abs(own))
        return warped

    def _evolve(self, model: _Model, front: Genomes, optimism: float) -> Genomes:
        """New genomes with the best bounds, by an evolution on the surrogates."""
        random = self.random.integers(0, self.bounds, (_INNER // 2, len(self.bounds)))
        some = front[self.random.permutation(len(front))[:_INNER]]
        people = np.unique(np.concatenate([some, self._mutated(some), random]), axis=0)
        evaluated = set(self.genomes)
        bounds, violations = model.bound(people, optimism)
        for _ in range(_GENERATIONS):
            mothers, fathers = (people[self.random.integers(0, len(people), _INNER)] for _ in range(2))
            children = self._mutated(self._crossed(mothers, fathers))
            everyone = np.unique(np.concatenate([people, children]), axis=0)
            bounds, violations = model.bound(everyone, optimism)
            # Designs of the search itself breed, but only new ones are worth a place at the end.
            chosen = _survivors(bounds, violations, _INNER)
            people = everyone[chosen]
        new = [number for number, genome in enumerate(_tuples(people)) if genome not in evaluated]
        return people[new]

    def _crossed(self, mothers: Genomes, fathers: Genomes) -> Genomes:
        """Two-point crossover, as in nsga2: neighbouring places matter together."""
        cuts = np.sort(self.random.integers(0, len(self.bounds) + 1, (len(mothers), 2)), axis=1)
        places = np.arange(len(self.bounds))
        inside = (places >= cuts[:, :1]) & (places < cuts[:, 1:])
        return np.where(inside, fathers, mothers)

    def _mutated(self, genomes: Genomes) -> Genomes:
        """Each gene takes another of its values with probability r / genes, r drawn for each genome from 1 to 3."""
        rates = self.random.integers(1, 4, (len(genomes), 1)) / len(self.bounds)
        mutates = (self.random.random(genomes.shape) < rates) & (self.bounds > 1)
        shift = self.random.integers(1, np.maximum(self.bounds, 2), genomes.shape)
        return np.where(mutates, (genomes + shift) % self.bounds, genomes)


class _Model:
    """Surrogates of all objectives and of the violation; an objective of one value only is known already."""

    def __init__(self, space: Space, genomes: Genomes, values: Floats, violations: Floats) -> None:
        from dse.explore.surrogate_model import GenomeCode, Surrogate  # loads scipy

        code = GenomeCode(space.bounds, space.gene_places)
        self._constants = [float(column[0]) for column in (*values.T, violations)]
        self._surrogates = [
            Surrogate(code, genomes, column) if np.ptp(column) > 0 else None for column in (*values.T, violations)
        ]

    def bound(self, genomes: Genomes, optimism: float) -> tuple[Floats, Floats]:
        """(mean - optimism deviations of each objective [n, objectives], violation at best [n])."""
        columns = []
        for surrogate, constant in zip(self._surrogates, self._constants, strict=True):
            if surrogate is None or not len(genomes):
                columns.append(np.full(len(genomes), constant))
            else:
                mean, deviation = surrogate.predict(genomes)
                columns.append(mean - optimism * deviation)
        return np.stack(columns[:-1], axis=1), np.maximum(columns[-1], 0)


def _tuples(genomes: Genomes) -> list[Genome]:
    return [tuple(genome) for genome in genomes.tolist()]


def _front(values: Floats, violations: Floats) -> NDArray[np.int64]:
    """Indices of the non-dominated among those of least violation."""
    least = np.flatnonzero(violations <= violations.min())
    return np.asarray(least[non_dominated(values[least])])


def _survivors(values: Floats, violations: Floats, count: int) -> NDArray[np.int64]:
    """Indices of the `count` best: rank by rank, by crowding distance in the last one (NSGA-II, section III)."""
    below = np.all(values[:, None] <= values[None], axis=2) & np.any(values[:, None] < values[None], axis=2)
    equal = violations[:, None] == violations[None]
    dominates = (violations[:, None] < violations[None]) | (equal & below)
    left = np.arange(len(values))
    chosen: list[int] = []
    while len(left) and len(chosen) < count:
        best = ~dominates[np.ix_(left, left)].any(axis=0)
        rank = left[best]
        if len(chosen) + len(rank) > count:
            rank = rank[np.argsort(-_crowding(values[rank]), kind="stable")][: count - len(chosen)]
        chosen += rank.tolist()
        left = left[~best]
    return np.array(chosen, dtype=np.int64)


def _crowding(values: Floats) -> Floats:
    distance = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        span = max(float(np.ptp(column)), 1e-12)
        distance[order[[0, -1]]] = np.inf
        distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def _covering(values: Floats, violations: Floats, known: Floats, front: Floats, random: np.random.Generator) -> Any:
    """Indices of the candidates, those first that together add most to the hypervolume of `front`.

    The volume is that below the worst of the `known` values. It is measured by random points in it that the front does
    not dominate; a greedy choice takes the candidate that dominates most of them, then most of those left, and so on.
    """
    feasible = violations <= violations.min(initial=np.inf)
    low, high = np.minimum(known.min(axis=0), values.min(axis=0, initial=np.inf)), known.max(axis=0)
    points = low + (high - low) * random.random((_POINTS, known.shape[1]))
    points = points[~_dominated(front, points).any(axis=0)]
    covers = _dominated(values, points) & feasible[:, None]
    order: list[int] = []
    gains = covers.sum(axis=1)
    while len(gains) and gains.max() > 0:
        order.append(int(np.argmax(gains)))
        covers &= ~covers[order[-1]]
        gains = covers.sum(axis=1)
    rest = np.setdiff1d(np.arange(len(values)), order)
    # What adds nothing visible comes last: the feasible ones first, and those that are nearest to the ideal.
    nearness = np.lexsort((((values[rest] - low) / np.maximum(high - low, 1e-12)).sum(axis=1), ~feasible[rest]))
    return np.concatenate([np.array(order, dtype=np.int64), rest[nearness]])


def _dominated(values: Floats, points: Floats) -> NDArray[np.bool_]:
    """bool [n, points]: which value lies below which point in all objectives."""
    below = np.ones((len(values), len(points)), dtype=bool)
    for own, of_points in zip(values.T, points.T, strict=True):
        below &= own[:, None] <= of_points
    return below
