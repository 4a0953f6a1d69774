"""Method "nsga2": evolution by `dse.explore.nsga2`, generation by generation, or asynchronously."""

from __future__ import annotations

from dse.explore.methods.exploration import Exploration
from dse.explore.methods.layer_seeds import layer_seeds

__all__ = ["explore_by_nsga2"]


def explore_by_nsga2(exploration: Exploration) -> None:
    """Evolves a population until the budget is spent or no new design can be bred."""
    from dse.explore.nsga2 import Evolution  # loads pymoo

    seeds = layer_seeds(exploration)
    evolution = Evolution(
        space=exploration.space,
        population=exploration.population,
        budget=exploration.budget,
        first=seeds.chains,
        known=tuple(zip(seeds.genomes, seeds.judgements, strict=True)),
        seed=exploration.seed,
        objectives=exploration.objectives,
        constraints=exploration.constraints,
        key=exploration.key,
    )
    # Without generations no worker waits for the slowest design, but the order of results, and so the search, varies.
    if exploration.asynchronous:
        evolution.evolve_asynchronously(exploration.stream)
    else:
        evolution.evolve(exploration.evaluate)
