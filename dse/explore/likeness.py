"""Estimates of objectives that were not measured, from measured designs that are like the one in question.

A design that a rival dominates whatever the network would score is not measured (`dse.score.rivals`), but a search
method still has to rank it among other dominated designs, since those breed too. Its bound will not do: it is the best
possible value, so that the worst designs, if only they are cheap, would seem to be as good as those on the front. With
V the designs measured so far and H the Hamming distance of genomes, objective k of genome g is estimated as

    max(bound_k, mean of v_k over the three v in V with the least H(g, v))

An estimate is never below the bound, which the rival dominates: it ranks as dominated, like the design itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dse.space.search_space import Genome

__all__ = ["MeasuredDesigns"]

_NEIGHBOURS = 3


class MeasuredDesigns:
    """The genomes and values of the designs of a search that have been measured in full, in the order of measuring."""

    def __init__(self) -> None:
        self._genomes: list[Genome] = []
        self._values: list[tuple[float, ...]] = []

    def add(self, genome: Genome, values: Sequence[float]) -> None:
        """Takes in a design with its finite objectives, minimised."""
        self._genomes.append(genome)
        self._values.append(tuple(values))

    def estimated(self, genome: Genome, bound: Sequence[float], missing: Sequence[bool]) -> list[float]:
        """`bound`, with estimates of the objectives that are `missing`, no better than their bounds."""
        distances = (np.array(self._genomes) != np.array(genome)).sum(axis=1)
        # Among equally near designs the earlier ones count, so that the same search makes the same estimates.
        nearest = np.argsort(distances, kind="stable")[:_NEIGHBOURS]
        means = np.array(self._values)[nearest].mean(axis=0)
        return [
            max(at_best, float(mean)) if unknown else at_best
            for at_best, mean, unknown in zip(bound, means, missing, strict=True)
        ]
