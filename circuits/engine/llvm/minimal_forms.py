"""Shortest and/or/xor/not forms of the 256 three-input functions, for machines without ternary logic."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from circuits.netlists.truth_table import CONSTANTS, INPUTS, TRUE

_OPERATORS: dict[str, Callable[[int, int], int]] = {
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "andnot": lambda a, b: a & ~b & TRUE,
}
Form = Any
"""An input's index 0, 1, 2, or ("not", form, None), or (operator, form, form) over and, or, xor, andnot."""


def shortest_form(table: int) -> Form:
    """The form with the fewest operators for the truth table of a function that is not constant."""
    return _forms()[table]


@lru_cache(maxsize=1)
def _forms() -> dict[int, Form]:
    """Every function's first shortest form, by dynamic programming over the number of operators.

    A form of n operators is NOT of one of n - 1, or joins two of l and n - 1 - l operators for some l. Level n holds
    the functions that no smaller form gives; taking only such ones as operands loses nothing, because a subform can
    always be replaced by a shortest form of the same function.
    """
    levels: list[dict[int, Form]] = [{table: k for k, table in enumerate(INPUTS)}]
    forms = dict(levels[0])
    # The loop ends: {NOT, AND} is complete, so that every function but the two constants has a form.
    while len(forms) < 254:
        size = len(levels)
        level: dict[int, Form] = {}

        def keep(table: int, form: Form, level: dict[int, Form] = level) -> None:
            if table not in CONSTANTS and table not in forms:
                level.setdefault(table, form)

        for left_size in range(size):
            for left, left_form in levels[left_size].items():
                if left_size == size - 1:
                    keep(left ^ TRUE, ("not", left_form, None))
                # (left, right) runs over ordered pairs, so that a & ~b and ~a & b are both met.
                for right, right_form in levels[size - 1 - left_size].items():
                    for operator, apply in _OPERATORS.items():
                        keep(apply(left, right), (operator, left_form, right_form))
        levels.append(level)
        forms.update(level)
    return forms
