"""Truth tables: every operation against the definition, row by row."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from circuits.netlists import truth_table
from circuits.netlists.truth_table import CUBES, FALSE, INPUTS, TRUE, Cube

TABLES = range(256)
ROWS = list(product((0, 1), repeat=3))
"""Inputs a, b, c of rows 0..7."""


def table_of(function: Callable[[int, int, int], int]) -> int:
    return sum(function(*inputs) << row for row, inputs in enumerate(ROWS))


def value(table: int, inputs: tuple[int, ...]) -> int:
    """The value for the inputs, the first of them the high digit of the row."""
    row = int("".join(map(str, inputs)), 2)
    return table >> row & 1


def test_the_order_of_rows_is_that_of_published_tables() -> None:
    assert (table_of(lambda a, b, c: a), table_of(lambda a, b, c: b), table_of(lambda a, b, c: c)) == INPUTS
    majority = table_of(lambda a, b, c: int(a + b + c >= 2))
    assert truth_table.to_text(majority) == "00010111"  # TCAD 2013, the exact carry
    assert all(truth_table.from_text(truth_table.to_text(table)) == table for table in TABLES)


@pytest.mark.parametrize("inputs", [1, 2, 3, 4, 5])
def test_cofactors_and_their_choice_follow_shannon(inputs: int) -> None:
    """f = x ? f1 : f0 for every input of random functions; the cofactors do not read it."""
    rng = np.random.default_rng(inputs)
    for _ in range(20):
        table = int(rng.integers(0, 2**63)) & truth_table.constant_one(inputs)
        for k in range(inputs):
            zero, one = truth_table.cofactors(table, inputs, k)
            for row in product((0, 1), repeat=inputs):
                others = row[:k] + row[k + 1 :]
                cofactor = one if row[k] else zero
                assert value(table, row) == (value(cofactor, others) if others else cofactor)
    column = truth_table.input_table(inputs, inputs - 1)
    assert truth_table.choose(0, truth_table.constant_one(inputs), inputs, inputs - 1) == column


def test_support_holds_the_inputs_that_can_change_the_value() -> None:
    for table in TABLES:
        changing = [
            k
            for k in range(3)
            if any(value(table, row) != value(table, (*row[:k], 1 - row[k], *row[k + 1 :])) for row in ROWS)
        ]
        assert list(truth_table.support(table)) == changing


@pytest.mark.parametrize("inputs", [1, 2, 4])
def test_reduced_functions_read_every_net_once_and_no_constant(inputs: int) -> None:
    """Against the function looked up row by row; nets 0 and 1 are the constants, and nets repeat."""
    rng = np.random.default_rng(inputs)
    for _ in range(200):
        # Functions with few ones and those of fewer inputs often lose inputs.
        table = int(rng.integers(0, 1 << min(1 << inputs, 62))) & int(rng.integers(0, 1 << min(1 << inputs, 62)))
        nets = tuple(int(net) for net in rng.integers(0, 5, inputs))
        reduced, kept = truth_table.reduce_inputs(table, nets, zero=0, one=1)
        assert len(set(kept)) == len(kept)
        assert not {0, 1} & set(kept)
        assert truth_table.support(reduced, len(kept)) == tuple(range(len(kept)))
        for values in product((0, 1), repeat=3):
            at = {0: 0, 1: 1, **dict(zip((2, 3, 4), values, strict=True))}
            row = tuple(at[net] for net in kept)
            assert (value(reduced, row) if row else reduced) == value(table, tuple(at[net] for net in nets))


def test_reducing_starts_again_after_every_input() -> None:
    """With a = b, a ^ b is 0 and does not depend on a, which has passed by then."""
    assert truth_table.reduce_inputs(0b0110, (7, 7), zero=0, one=1) == (0, ())


def test_projection_and_widening_keep_the_function_of_the_inputs_left() -> None:
    for table in TABLES:
        kept = truth_table.support(table)
        projected = truth_table.project(table, kept)
        for row in ROWS:
            arguments = [row[kept.index(k)] if k in kept else 0 for k in range(3)]
            assert value(projected, row) == value(table, tuple(arguments))
    assert truth_table.widen(0b0110, 2) == table_of(lambda a, b, c: a ^ b)


def test_composition_evaluates_the_operands_in_every_row() -> None:
    rng = np.random.default_rng(1)
    for table in TABLES:
        for count in (1, 2, 3):
            operands = rng.integers(0, 256, count).tolist()
            expected = table_of(
                lambda *row, table=table, operands=operands: value(
                    table, (*(value(operand, row) for operand in operands), 0, 0)[:3]
                )
            )
            assert truth_table.compose(table, operands) == expected


def test_evaluation_of_arrays_is_bit_by_bit() -> None:
    planes = np.random.default_rng(2).integers(0, 2**64, (3, 2), dtype=np.uint64)
    ones = ~np.uint64(0)
    for table in TABLES:
        result = truth_table.evaluate(table, list(planes), ones)
        assert result.dtype == np.uint64
        for bit in range(64):
            a, b, c = (planes >> np.uint64(bit) & np.uint64(1)).tolist()
            expected = [value(table, row) for row in zip(a, b, c, strict=True)]
            assert (result >> np.uint64(bit) & np.uint64(1)).tolist() == expected


def test_complemented_inputs_are_read_inverted() -> None:
    for table in TABLES:
        for marks in ROWS:
            flipped = truth_table.complement_inputs(table, marks)
            for row in ROWS:
                inverse = tuple(bit ^ mark for bit, mark in zip(row, marks, strict=True))
                assert value(flipped, row) == value(table, inverse)


def test_the_normal_form_is_the_xor_of_its_products() -> None:
    products = dict.fromkeys(range(8), TRUE)
    for term in range(8):
        for k in range(3):
            if term & 4 >> k:
                products[term] &= INPUTS[k]
    for table in TABLES:
        total = FALSE
        for term in truth_table.normal_form(table):
            total ^= products[term]
        assert total == table
    assert truth_table.normal_form(0b10010110) == (1, 2, 4)  # a ^ b ^ c
    assert truth_table.normal_form(0b11101000) == (3, 5, 6)  # majority: bc ^ ac ^ ab


def test_prime_implicants_are_the_cubes_that_cannot_grow() -> None:
    assert len(set(CUBES)) == 27
    for table in TABLES:
        primes = truth_table.prime_implicants(table)
        union = FALSE
        for prime in primes:
            assert prime.table & ~table == 0
            for k in range(3):
                if prime.mask & 4 >> k:
                    larger = Cube(prime.mask & ~(4 >> k), prime.value & ~(4 >> k))
                    assert larger.table & ~table
            union |= prime.table
        assert union == table
    assert truth_table.prime_implicants(TRUE) == (Cube(0, 0),)
    assert truth_table.prime_implicants(0b11101000) == (Cube(3, 3), Cube(5, 5), Cube(6, 6))
