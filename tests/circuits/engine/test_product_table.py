"""Product tables: every pair of codes, the first operand major, kept and read-only."""

from __future__ import annotations

import numpy as np
import pytest

from circuits import Design, DesignError
from circuits.engine.product_table import code_values, product_table


def test_an_exact_table_holds_all_products_of_the_integers_behind_the_patterns() -> None:
    for width, signed in (((8, 8), False), ((8, 8), True), ((8, 4), True), ((3, 10), False)):
        table = product_table(Design(width=width, format=None, signed=signed))
        values = [
            [pattern - (1 << bits) if signed and pattern >> (bits - 1) else pattern for pattern in range(1 << bits)]
            for bits in width
        ]
        assert table.dtype == np.int32
        np.testing.assert_array_equal(table, np.multiply.outer(*values))


def test_the_first_operand_is_the_first_index() -> None:
    design = Design(width=5, format=None, placement="ama1")
    table = product_table(design)
    assert (table != table.T).any()
    for x, y in ((3, 17), (31, 2), (16, 30)):
        assert table[x, y] == design.multiply_integers(x, y)


def test_a_table_is_kept_and_cannot_be_written() -> None:
    table = product_table(Design(width=3, format=None))
    assert product_table(Design(width=3, format=None)) is table
    with pytest.raises(ValueError, match="read-only"):
        table[0, 0] = 1
    np.testing.assert_array_equal(code_values(3, True), [0, 1, 2, 3, -4, -3, -2, -1])


def test_wide_operands_are_refused() -> None:
    with pytest.raises(
        DesignError, match=r"^a product table needs operands of at most 10 bits, but the circuit is 11x11; "
    ):
        product_table(Design(width=11, format=None))
