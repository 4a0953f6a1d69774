"""Method "exhaustive": every design of the space."""

from __future__ import annotations

from dse.explore.methods.exploration import Exploration

__all__ = ["explore_exhaustively"]


def explore_exhaustively(exploration: Exploration) -> None:
    """Evaluates every design, in the order of `Space.genomes`."""
    exploration.evaluate(exploration.distinct(exploration.space.genomes()))
