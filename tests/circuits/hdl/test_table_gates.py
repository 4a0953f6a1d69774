"""Truth tables and covers drawn as gates, against the table looked up row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_netlists import evaluate_row

from circuits import Netlist
from circuits.hdl.table_gates import MAXIMUM_INPUTS, add_cover, add_table, cover_table
from circuits.netlists.gates import AND2, MUX2, OR2, XOR2
from circuits.netlists.netlist import NetlistBuilder


def circuit(inputs: int, table: int | None = None, cover: list[str] | None = None, inverted: bool = False) -> Netlist:
    builder = NetlistBuilder("table")
    nets = builder.input("x", inputs)

    def add(gate, *operands: int) -> int:  # type: ignore[no-untyped-def]
        return builder.add(gate, *operands)[0]

    net = add_table(add, table, nets) if table is not None else add_cover(add, cover or [], nets, inverted=inverted)
    builder.output("y", [net])
    return builder.build()


def value(netlist: Netlist, row: int) -> int:
    """The output in `row`, the first input being its high bit."""
    nets = netlist.inputs["x"]
    bits = {net: row >> (len(nets) - 1 - k) & 1 for k, net in enumerate(nets)}
    return evaluate_row(netlist, bits)[0]


@pytest.mark.parametrize("inputs", [1, 2, 3])
def test_gates_compute_all_functions_of_up_to_three_inputs(inputs: int) -> None:
    for table in range(1 << (1 << inputs)):
        netlist = circuit(inputs, table)
        assert [value(netlist, row) for row in range(1 << inputs)] == [table >> row & 1 for row in range(1 << inputs)]


@given(st.integers(4, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, (1 << (1 << n)) - 1))))
def test_gates_compute_functions_of_four_to_six_inputs(case: tuple[int, int]) -> None:
    inputs, table = case
    netlist = circuit(inputs, table)
    assert [value(netlist, row) for row in range(1 << inputs)] == [table >> row & 1 for row in range(1 << inputs)]


def test_ands_ors_and_parities_take_a_gate_an_input() -> None:
    """The last three inputs take the smallest network of characterised gates, which may consist of other gates."""
    rows = range(1 << 8)
    tables = {
        AND2: 1 << 255,
        OR2: sum(1 << row for row in rows if row),
        XOR2: sum(1 << row for row in rows if row.bit_count() % 2),
    }
    for gate, table in tables.items():
        netlist = circuit(8, table)
        assert netlist.count()[gate.name] >= 5
        assert len(netlist.instances) <= 8
    select = sum(1 << row for row in range(16) if (row >> 1 if row & 1 else row >> 2) & 1)
    assert circuit(4, select).count() == {MUX2.name: 1}


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("inputs", [0, 1, 3, 5, MAXIMUM_INPUTS + 1])
def test_covers_are_the_or_of_their_cubes_or_its_complement(inputs: int, inverted: bool) -> None:
    rng = np.random.default_rng(inputs)
    cover = ["".join(rng.choice(["0", "1", "-"], inputs)) for _ in range(4 if inputs else 1)]
    netlist = circuit(inputs, cover=cover, inverted=inverted)
    for row in {int(r) for r in rng.integers(0, 1 << inputs, 64)}:
        word = f"{row:0{inputs}b}" if inputs else ""
        covered = any(all(c in ("-", b) for c, b in zip(cube, word, strict=True)) for cube in cover)
        assert value(netlist, row) == (covered != inverted)


def test_repeated_and_constant_inputs_are_reduced() -> None:
    builder = NetlistBuilder("repeated")
    (a, b) = builder.input("x", 2)

    def add(gate, *operands: int) -> int:  # type: ignore[no-untyped-def]
        return builder.add(gate, *operands)[0]

    parity = cover_table(("001", "010", "100", "111"), 3)
    assert add_table(add, parity, [a, b, a]) == b
    assert add_table(add, parity, [a, 0, 0]) == a
    assert add_table(add, parity, [1, 0, 1]) == 0
    assert add_table(add, 0b1000, [a, 1]) == a
    assert builder.build().instances == ()
