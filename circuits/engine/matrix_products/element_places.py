"""Where a matrix product finds its elements, so that convolution needs no copy of its patches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Offsets = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Places:
    """Offsets, in elements, of the operands and results of `gathering.gathered_matmul`.

    `x_at` int64 [M], `x_step` int64 [K], `out_at` int64 [M] and the numbers `out_step`, `x_group`, `out_group`: element
    (m, k) of group g is x.flat[x_at[m] + x_step[k] + g x_group], and result (m, n) of group g goes to
    out.flat[out_at[m] + n out_step + g out_group], for `groups` independent products of the same shape. `prepared`
    holds what kernels prepare for these places; it lives as long as they do and may be used by several threads.
    """

    x_at: Offsets
    x_step: Offsets
    out_at: Offsets
    out_step: int
    groups: int = 1
    x_group: int = 0
    out_group: int = 0
    prepared: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def rows(self) -> int:
        """M, the rows of each group's product."""
        return len(self.x_at)

    @property
    def depth(self) -> int:
        """K, the terms of each sum."""
        return len(self.x_step)

    def of_groups(self) -> tuple[Places, ...]:
        """The places of each group's product by itself, for ways of computing that take one product at a time."""
        if self.groups == 1:
            return (self,)
        if "of_groups" not in self.prepared:
            self.prepared["of_groups"] = tuple(
                Places(self.x_at + g * self.x_group, self.x_step, self.out_at + g * self.out_group, self.out_step)
                for g in range(self.groups)
            )
        places: tuple[Places, ...] = self.prepared["of_groups"]
        return places


def places_of_rows(rows: int, depth: int, columns: int) -> Places:
    """The places of contiguous matrices x [rows, depth] and out [rows, columns]."""
    return Places(np.arange(rows) * depth, np.arange(depth), np.arange(rows) * columns, 1)
