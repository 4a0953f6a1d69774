"""Method "random": designs drawn from the seed, all genomes equally likely, each design once."""

from __future__ import annotations

from dse.explore.methods.exploration import Exploration

__all__ = ["explore_at_random"]

_DRAWS = 100
"""Genomes drawn for each design of the budget before a space counts as used up."""


def explore_at_random(exploration: Exploration) -> None:
    """Evaluates the first `budget` distinct designs that the seed draws."""
    budget = exploration.budget
    exploration.evaluate(exploration.distinct(exploration.space.sample(exploration.seed, _DRAWS * budget)))
