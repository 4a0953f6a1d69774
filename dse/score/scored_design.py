"""A scored design: the row that searches, comparisons, tables and plots share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from circuits.cost.cells45 import library_component
from circuits.cost.circuit import split
from circuits.designs.design_record import Design
from circuits.designs.named_designs import NAMED
from dse.score.scorers.cost_scorer import TECHNOLOGY
from dse.score.scorers.scorer import Column, Scores
from dse.space.per_layer import Candidate, designs_of

__all__ = ["ScoredDesign"]


@dataclass(frozen=True)
class ScoredDesign:
    """A design and its scores; `reference` when it is shown for orientation, not as a result of the search."""

    design: Candidate
    scores: Scores
    reference: bool = False

    @property
    def name(self) -> str:
        """The label of the named design that this is, if any; otherwise the design's own label."""
        return self.listed.label

    @property
    def listed(self) -> Candidate:
        """The named design that this is, if any, otherwise the design: one text for one circuit, whoever scored it."""
        # By the digest of the circuit, since the same circuit may have been scored under another name.
        return _named().get(self.design.cost_digest, self.design)

    @property
    def estimated(self) -> tuple[str, ...]:
        """Names of the cells and gates for which some cost is an estimate."""
        names: set[str] = set()
        for design in designs_of(self.design).values():
            if design.imported is None and all(map(library_component, set(design.placement.all_cells()))):
                continue  # known without drawing the circuit
            components = {instance.component for instance in design.netlist().instances}
            names |= {
                component.name
                for component in components
                if any(TECHNOLOGY.cost_of(piece).estimated for piece in split(component))
            }
        return tuple(sorted(names))

    def values(self, columns: Sequence[Column]) -> list[float]:
        """The scores in those columns, negated where larger is better, so that smaller is better in all of them."""
        return [self.scores[column.name] if column.minimise else -self.scores[column.name] for column in columns]


@lru_cache(maxsize=1)
def _named() -> Mapping[str, Design]:
    # The first name wins: axfpm is ama5_array under the name that papers know.
    return {entry.cost_digest: entry for entry in reversed([*NAMED.values()])}
