"""The first technology: transistor counts and logic depth, not yet characterised.

- area: transistors.
- energy: an output transition of a component of T transistors and n outputs costs T / n, so that energy per operation
  is the number of transistors, each weighted by the activity of its cell.
- delay: the depth of the output's function in two-input AND and OR gates with free inverters (XOR is 2, a majority 3, a
  three-input XOR 4), at least 1 for an output that depends on an input at all.

A user cell's own delay_ps, energy_fj and area_um2 cannot be added to relative numbers, so this technology does not read
them; its `transistors` it does. A count that nobody published is estimated, see `estimate_transistors`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from circuits.netlist import Component
from circuits.technology.table import ComponentCost, Technology

NOTE = "not yet characterised"

# Bytes whose bit r is the value of the first, second, third input in row r = 4a + 2b + c.
_INPUTS = (0b11110000, 0b11001100, 0b10101010)


def _cost_of(component: Component) -> ComponentCost:
    return _cost(component.tables, len(component.inputs), component.transistors)


@cache
def _cost(tables: tuple[int, ...], inputs: int, published: int | None) -> ComponentCost:
    transistors = estimate_transistors(tables) if published is None else published
    arcs = []
    for table in tables:
        depth = max(1, int(_depths()[table]))
        arcs.append(tuple(float(depth) if depends(table, k) else None for k in range(inputs)))
    share = transistors / len(tables)
    return ComponentCost(transistors, published is None, float(transistors), (share,) * len(tables), 0.0, tuple(arcs))


def depends(table: int, k: int) -> bool:
    """True when the function depends on input k (0 is the high bit of a row)."""
    step = 4 >> k
    return any((table >> r ^ table >> (r | step)) & 1 for r in range(8) if not r & step)


@cache
def _depths() -> NDArray[np.int64]:
    """For each of the 256 functions: its least depth in two-input AND and OR gates over inputs of either polarity."""
    depth = np.full(256, 99, dtype=np.int64)
    for table in (*_INPUTS, *(t ^ 0xFF for t in _INPUTS), 0x00, 0xFF):
        depth[table] = 0
    left, right = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    while (depth == 99).any():
        level = 1 + np.maximum(depth[left], depth[right])
        for made in (left & right, left | right):
            np.minimum.at(depth, made, level)
    return depth


@lru_cache(maxsize=4096)
def estimate_transistors(tables: tuple[int, ...]) -> int:
    """An estimate of the transistors of a static CMOS cell with these truth tables.

    Each output is one complex gate, 2 transistors a literal of its shortest factored form, of either polarity (output
    inverters are not counted, as in the 24 of the mirror adder); a later output may use an earlier one as a literal;
    2 for each inverted input; a bare wire is a buffer of 4, an inverted one an inverter of 2; constants cost nothing.
    It finds the conventional 24 for the exact adder and 8 for AMA5.
    """
    best = 10**9
    for inverted in range(8):
        literals = [t for k, t in enumerate(_INPUTS) for t in ((t, t ^ 0xFF) if inverted >> k & 1 else (t,))]
        for order in set(permutations(tables)):
            total = 2 * inverted.bit_count()
            known: tuple[int, ...] = ()
            for table in order:
                total += _gate(table, tuple(sorted({*literals, *known})))
                known = (*known, table ^ 0xFF, table)
            best = min(best, total)
    return best


def _gate(table: int, literals: Sequence[int]) -> int:
    if table in (0x00, 0xFF):
        return 0
    if table in _INPUTS:
        return 4
    if table ^ 0xFF in _INPUTS:
        return 2
    counts = _literal_counts(tuple(literals))
    return 2 * int(min(counts[table], counts[table ^ 0xFF]))


@lru_cache(maxsize=4096)
def _literal_counts(literals: tuple[int, ...]) -> NDArray[np.int64]:
    """For each of the 256 functions: literals of its shortest AND/OR form over the given ones; 99 for none."""
    counts = np.full(256, 99, dtype=np.int64)
    counts[list(literals)] = 1
    exactly = {1: np.array(literals)}  # number of literals -> the functions that need so many
    total = 2
    while total <= 2 * max(exactly):
        made: set[int] = set()
        for part in range(1, total // 2 + 1):
            if part in exactly and total - part in exactly:
                pair = exactly[part], exactly[total - part]
                made.update(np.bitwise_and.outer(*pair).ravel().tolist(), np.bitwise_or.outer(*pair).ravel().tolist())
        if new := [table for table in made if counts[table] == 99]:
            counts[new] = total
            exactly[total] = np.array(new)
        total += 1
    return counts


RELATIVE = Technology(
    "relative",
    False,
    NOTE,
    "transistors",
    "transistors switched per operation",
    "two-input gate depths",
    _cost_of,
)
"""Counts and logic depth; see the module's docstring."""
