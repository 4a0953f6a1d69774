"""A record of how a tree reduces its columns: what stood in them at the start of every stage, and which cell took what.

A netlist no longer tells the stages. A generator writes them down while it draws, into the record that its frame has
(`Frame.reduction`), if it has one; drawings and traces read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Reduction", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """A cell in `column` of stage `stage` (from 0) took `count` bits, those that come next in the column.

    `sum`: the net of its sum; `name`: of what stands there, where it is no single cell.
    """

    stage: int
    column: int
    count: int
    sum: int
    name: str = ""


@dataclass
class Reduction:
    """`stages`: at the start of each, and after the last, the (net, source row) of the bits of every column.

    Column k has weight 2^k; bits stand in the order in which cells take them. `steps`: in the order of drawing.
    """

    stages: list[list[list[tuple[int, int]]]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def begin(self, columns: Sequence[Sequence[tuple[int, int]]]) -> None:
        """A stage begins, or the last one has ended, with these columns."""
        self.stages.append([list(column) for column in columns])

    def took(self, column: int, count: int, total: int, name: str = "") -> None:
        """A cell took bits in the present stage."""
        self.steps.append(Step(len(self.stages) - 1, column, count, total, name))
