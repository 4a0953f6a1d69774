"""First designs of a search over layers: by how much each layer suffers from an approximate multiplier.

Where the search knows what harm each design does in each layer (`Exploration.ladder`), the first designs are the best
assignments by that, from exact to cheap. Otherwise the judgements of single layers tell.

A space gives groups of genomes (`Space.seeds`): a base, exact everywhere, and for one approximate design the genomes
that have it in a single layer. Judged, they tell the sensitivity of each layer. What follows are the chains: the design
in the two layers that suffer least for what they gain, in the three, ... in all of them. A search that starts there
need not find out by chance which layers tolerate errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dse.explore.front import Judgement
from dse.explore.methods.exploration import Exploration
from dse.space.search_space import Genome

__all__ = ["LayerSeeds", "layer_seeds"]

_SHARE = 4
"""At most one part in so many of the budget goes to single layers."""


@dataclass(frozen=True)
class LayerSeeds:
    """`genomes` and their `judgements`: of single layers, evaluated; `chains`: what to evaluate next."""

    genomes: tuple[Genome, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    chains: tuple[Genome, ...] = ()


def layer_seeds(exploration: Exploration) -> LayerSeeds:
    """Evaluates the seeds of the space, as far as a part of the budget goes; none where it gives none.

    Those of a ladder are not evaluated yet.
    """
    # As many as a population holds: an evolution would leave out the others, the cheapest ones.
    if steps := exploration.ladder(min(exploration.population, exploration.budget // _SHARE)):
        return LayerSeeds(chains=tuple(steps))
    groups = exploration.space.seeds(exploration.budget // _SHARE)
    distinct: dict[str, Genome] = {}
    for genome in (genome for group in groups for genome in group):
        distinct.setdefault(exploration.key(genome), genome)
    if not distinct:
        return LayerSeeds()
    judgements = tuple(exploration.evaluate(list(distinct.values())))
    judged = dict(zip(distinct, judgements, strict=True))
    chains: dict[str, Genome] = {}
    for group in groups:
        for genome in _chain(group, [judged[exploration.key(genome)] for genome in group]):
            if exploration.key(genome) not in distinct:
                chains.setdefault(exploration.key(genome), genome)
    return LayerSeeds(tuple(distinct.values()), judgements, tuple(chains.values()))


def _chain(group: Sequence[Genome], judgements: Sequence[Judgement]) -> list[Genome]:
    """Genomes with the changes of the two, three, ... least sensitive members of a group."""
    if any(judgement.values is None for judgement in judgements):
        return []
    base, *singles = group
    values = np.array([judgement.values for judgement in judgements], dtype=float)
    changes = values[1:] - values[0]
    changes /= np.maximum(np.abs(changes).max(axis=0), 1e-300)  # objectives have different units
    harm, gain = np.maximum(changes, 0).sum(axis=1), np.maximum(-changes, 0).sum(axis=1)
    order = np.argsort(harm / np.maximum(gain, 1e-9), kind="stable").tolist()
    chain, genome = [], list(base)
    for length, number in enumerate(order, 1):
        genome = [new if new != old else kept for new, old, kept in zip(singles[number], base, genome, strict=True)]
        if length > 1:
            chain.append(tuple(genome))
    return chain
