"""What a search method gets: the space, the budget, the seed, and functions that judge designs.

A method chooses genomes; it never sees scores, only judgements. The choice must follow from the seed and from these
judgements alone, so that a killed search, run again, asks for the same designs and finds their scores in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from dse.explore.front import Judgement
from dse.space.search_space import Genome, Space

__all__ = ["Exploration"]


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """One exploration of a space.

    - `budget`: the number of distinct designs to evaluate at most.
    - `population`: designs in a generation, for methods that have generations.
    - `objectives`, `constraints`: how many there are; `scales`: of each objective's axis ("linear", "log", "symlog").
    - `key`: identifies the design of a genome; genomes with equal keys give the same design.
    - `evaluate`: judges these genomes, in order.
    - `stream`: judges genomes one by one, and takes the next when a worker is free for it; yields them as they end.
    - `ladder`: gives at most so many genomes of designs by layer, from exact to cheap, that a model of the layers'
      harm expects to be best; none where it says nothing.
    - `asynchronous`: whether the method shall use `stream`, if it can.
    """

    space: Space
    budget: int
    population: int
    seed: int
    objectives: int
    constraints: int
    key: Callable[[Genome], str]
    evaluate: Callable[[Sequence[Genome]], Sequence[Judgement]]
    stream: Callable[[Iterator[Genome]], Iterator[tuple[Genome, Judgement]]]
    scales: tuple[str, ...]
    ladder: Callable[[int], Sequence[Genome]] = lambda count: ()
    asynchronous: bool = False

    def distinct(self, genomes: Iterable[Genome]) -> list[Genome]:
        """The first genome of each design, up to the budget."""
        first: dict[str, Genome] = {}
        for genome in genomes:
            # The first genome of a design stands for it, so that the choice does not depend on how many synonyms
            # follow.
            first.setdefault(self.key(genome), genome)
            # Genomes may come from a generator that is much longer than the budget: no more are drawn than needed.
            if len(first) == self.budget:
                break
        return list(first.values())
