"""Truth tables of any number of inputs (see `circuits.netlists.truth_table`) as gates.

Lookup tables and BLIF's covers become gates here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from circuits.cost.characterize.gate_networks import INPUTS, Tree, networks, parse
from circuits.netlists.gates import AND2, BUFFER, EXTRA_GATES, GATES, MUX2, NOT, OR2, XOR2, Gate
from circuits.netlists.netlist import ONE, ZERO
from circuits.netlists.truth_table import cofactors, constant_one, input_table, reduce_inputs, widen

MAXIMUM_INPUTS = 10
"""Most inputs of a table; a wider cover is taken as a sum of products."""

AddGate = Callable[..., int]
"""Adds a gate over nets and returns its output net: add(AND2, a, b)."""

_LIBRARY = {gate.name: gate for gate in (*GATES.values(), *EXTRA_GATES)}


def add_table(add: AddGate, table: int, inputs: Sequence[int]) -> int:
    """The net of `table` over the nets `inputs`, by gates of the library; a constant or an input needs none.

    Up to three inputs take the smallest network of characterised gates. Wider tables are split at one input,
    f = x ? f1 : f0 (Shannon), where possible at one for which that is an AND, OR or XOR.
    """
    nets = tuple(inputs)
    if len(nets) > 3 or len(set(nets)) < len(nets) or min(nets, default=ZERO) <= ONE:
        table, nets = reduce_inputs(table, nets, zero=ZERO, one=ONE)
    if not nets:
        return ONE if table else ZERO
    if len(nets) <= 3:
        return _add_tree(add, _network(table, len(nets)), dict(zip(INPUTS, nets, strict=False)))
    k = min(range(len(nets)), key=lambda k: _split_cost(*cofactors(table, len(nets), k), len(nets) - 1))
    return _add_split(add, cofactors(table, len(nets), k), nets[k], (*nets[:k], *nets[k + 1 :]))


def add_cover(add: AddGate, cover: Sequence[str], inputs: Sequence[int], *, inverted: bool = False) -> int:
    """The net of a sum of products, or of its complement; a cube has one of 0, 1 and - for each net of `inputs`."""
    if len(inputs) <= MAXIMUM_INPUTS:
        table = cover_table(tuple(cover), len(inputs))
        return add_table(add, table ^ constant_one(len(inputs)) if inverted else table, inputs)
    total = _sum_of_products(add, cover, inputs)
    return add_table(add, 0b01, [total]) if inverted else total


def _sum_of_products(add: AddGate, cover: Sequence[str], inputs: Sequence[int]) -> int:
    complements: dict[int, int] = {}
    total = ZERO
    for cube in cover:
        product = ONE
        for literal, net in zip(cube, inputs, strict=True):
            if literal == "-":
                continue
            if literal == "0" and net not in complements:
                complements[net] = add_table(add, 0b01, [net])
            factor = complements[net] if literal == "0" else net
            product = add_table(add, 0b1000, [product, factor])
        total = add_table(add, 0b1110, [total, product])
    return total


@lru_cache(maxsize=4096)
def cover_table(cover: tuple[str, ...], inputs: int) -> int:
    """The table of a sum of products."""
    full = constant_one(inputs)
    columns = [input_table(inputs, k) for k in range(inputs)]
    table = 0
    for cube in cover:
        rows = full
        for literal, column in zip(cube, columns, strict=True):
            if literal != "-":
                rows &= column if literal == "1" else column ^ full
        table |= rows
    return table


def _split_cost(zero: int, one: int, inputs: int) -> int:
    """0: the split input is one operand of an AND or OR; 1: of an XOR; 2: it selects."""
    full = constant_one(inputs)
    if zero in (0, full) or one in (0, full):
        return 0
    return 1 if one == zero ^ full else 2


def _add_split(add: AddGate, split: tuple[int, int], select: int, nets: tuple[int, ...]) -> int:
    zero, one = split
    full = constant_one(len(nets))
    if one == zero ^ full:
        return add(XOR2, select, add_table(add, zero, nets))
    if zero == 0:
        return add(AND2, select, add_table(add, one, nets))
    if one == full:
        return add(OR2, select, add_table(add, zero, nets))
    if one == 0:
        return add(AND2, add(NOT, select), add_table(add, zero, nets))
    if zero == full:
        return add(OR2, add(NOT, select), add_table(add, one, nets))
    return add(MUX2, add_table(add, zero, nets), add_table(add, one, nets), select)


@lru_cache(maxsize=512)
def _network(table: int, inputs: int) -> Tree:
    return parse(networks()[widen(table, inputs)])


def _add_tree(add: AddGate, tree: Tree, nets: dict[str, int]) -> int:
    if isinstance(tree, str):
        return {"0": ZERO, "1": ONE, **nets}[tree]
    operands = [_add_tree(add, operand, nets) for operand in tree[1:]]
    gate: Gate = _LIBRARY[tree[0]]
    return operands[0] if gate == BUFFER else add(gate, *operands)
