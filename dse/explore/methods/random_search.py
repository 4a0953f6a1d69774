"""Method "random": designs drawn from the seed, all genomes equally likely, each design once."""

from __future__ import annotations

from dse.explore.methods.exploration import Exploration

__all__ = ["explore_at_random"]

# Drawing all of n equally likely designs takes about n ln n draws, which 100 n covers for any n that a search can
# evaluate. Designs that few genomes give may be missed.
_DRAWS = 100
"""Genomes drawn for each design of the budget before a space counts as used up."""


def explore_at_random(exploration: Exploration) -> None:
    """Evaluates the first `budget` distinct designs that the seed draws."""
    budget = exploration.budget
    exploration.evaluate(exploration.distinct(exploration.space.sample(exploration.seed, _DRAWS * budget)))
