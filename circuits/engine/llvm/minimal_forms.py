"""Shortest and/or/xor/not forms of the 256 three-input functions, for machines without ternary logic."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

_OPERATORS: dict[str, Callable[[int, int], int]] = {
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "andnot": lambda a, b: a & ~b & 0xFF,
}
Form = Any
"""An input's index 0, 1, 2, or ("not", form, None), or (operator, form, form) over and, or, xor, andnot."""


def shortest_form(table: int) -> Form:
    """The form with the fewest operators for a non-constant truth table (bit 4a + 2b + c)."""
    return _forms()[table]


@lru_cache(maxsize=1)
def _forms() -> dict[int, Form]:
    """Breadth-first over formula sizes: every table reachable with n operators from tables with fewer."""
    levels: list[dict[int, Form]] = [{0b11110000: 0, 0b11001100: 1, 0b10101010: 2}]
    found = dict(levels[0])
    while len(found) < 254:
        size = len(levels)
        level: dict[int, Form] = {}

        def keep(table: int, form: Form, level: dict[int, Form] = level) -> None:
            if table not in (0x00, 0xFF) and table not in found:
                level.setdefault(table, form)

        for left_size in range(size):
            for left, left_form in levels[left_size].items():
                if left_size == size - 1:
                    keep(left ^ 0xFF, ("not", left_form, None))
                for right, right_form in levels[size - 1 - left_size].items():
                    for operator, apply in _OPERATORS.items():
                        keep(apply(left, right), (operator, left_form, right_form))
        levels.append(level)
        found.update(level)
    return found
