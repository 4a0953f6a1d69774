"""Netlists, their simplification and their LUT programs, against a scalar evaluation of the netlist as drawn."""

from __future__ import annotations

import numpy as np
import pytest
from random_netlists import evaluate_row, random_netlist

from circuits import CELLS, NAMED, Design, Netlist, design
from circuits.cost.activity import evaluate
from circuits.engine.backends import reference
from circuits.engine.bit_planes import pack, unpack
from circuits.netlists.gates import AND2, GATES, HALF_ADDER
from circuits.netlists.lut_program import lower
from circuits.netlists.netlist import ONE, ZERO, NetlistBuilder
from circuits.netlists.simplification import analyse, reduce_function, simplify

SEEDS = range(150)


def rows_of(netlist: Netlist, limit: int = 128) -> list[int]:
    """All input combinations, or `limit` random ones."""
    count = 2 ** len(netlist.input_nets)
    if count <= limit:
        return list(range(count))
    return np.random.default_rng(count).integers(0, count, limit).tolist()


def truth(netlist: Netlist, rows: list[int]) -> list[list[int]]:
    """Output bits for each row (bit k of a row drives input net k), one instance at a time."""
    nets = netlist.input_nets
    return [evaluate_row(netlist, {net: row >> k & 1 for k, net in enumerate(nets)}) for row in rows]


def check_invariants(netlist: Netlist) -> None:
    """Asserts topological order, a single driver for each net, and nets within bounds."""
    driven = {ZERO, ONE, *netlist.input_nets}
    assert len(driven) == 2 + len(netlist.input_nets)
    for instance in netlist.instances:
        assert driven.issuperset(instance.inputs)
        assert driven.isdisjoint(instance.outputs)
        assert len(instance.outputs) == len(instance.component.outputs)
        driven.update(instance.outputs)
    assert driven.issuperset(netlist.output_nets)
    assert max(driven) < netlist.nets


@pytest.mark.parametrize("seeds", [SEEDS[k::5] for k in range(5)], ids=range(5))
def test_simplify_keeps_the_function_and_never_grows(seeds: range) -> None:
    for seed in seeds:
        netlist = random_netlist(seed)
        simplified = simplify(netlist)
        check_invariants(netlist)
        check_invariants(simplified)
        rows = rows_of(netlist)
        assert truth(simplified, rows) == truth(netlist, rows), seed
        assert len(simplified.instances) <= len(netlist.instances)
        before, after = netlist.count(), simplified.count()
        assert all(after[name] <= before[name] for name in after)
        assert simplify(simplified).instances == simplified.instances, "a second pass finds nothing"


@pytest.mark.parametrize("seeds", [SEEDS[k::5] for k in range(5)], ids=range(5))
def test_programs_agree_with_the_netlist(seeds: range) -> None:
    for seed in seeds:
        netlist = random_netlist(seed)
        rows = rows_of(netlist)
        planes = pack(np.array(rows, dtype=np.uint64), len(netlist.input_nets))
        expected = [sum(bit << k for k, bit in enumerate(bits)) for bits in truth(netlist, rows)]
        program = lower(netlist)
        assert unpack(reference.run(program, planes), len(rows)).tolist() == expected, seed
        assert len(program) <= 2 * len(netlist.instances) + len(netlist.output_nets)
        # The cost model evaluates every net as drawn.
        outputs = evaluate(netlist, planes)[list(netlist.output_nets)]
        assert unpack(outputs, len(rows)).tolist() == expected, seed


def test_analysis_gives_equal_nets_equal_literals_only() -> None:
    """Nets of one literal carry one value, of opposite literals opposite values, in every row."""
    for seed in range(60):
        netlist = random_netlist(seed)
        rows = rows_of(netlist)
        values = evaluate(netlist, pack(np.array(rows, dtype=np.uint64), len(netlist.input_nets)))
        bits = np.unpackbits(values.view(np.uint8), axis=1, bitorder="little")[:, : len(rows)]
        found: dict[int, np.ndarray] = {}
        for net, literal in enumerate(analyse(netlist).literals):
            value = bits[net] ^ (literal & 1)
            np.testing.assert_array_equal(value, found.setdefault(literal >> 1, value))
        np.testing.assert_array_equal(found[0], 0)


def test_reduce_function_over_every_table() -> None:
    """All 256 functions with all triples of repeated, inverted and constant operands."""
    choices = [0, 1, 2, 5]  # 0, 1, node 1, node 2 inverted
    for table in range(256):
        for operands in np.stack(np.meshgrid(choices, choices, choices), -1).reshape(-1, 3).tolist():
            reduced, nodes, inverted = reduce_function(table, operands)
            assert reduced & 1 == 0
            for assignment in range(4):
                value = {0: 0, 1: assignment & 1, 2: assignment >> 1}
                row = sum((value[literal >> 1] ^ (literal & 1)) << (2 - k) for k, literal in enumerate(operands))
                short = sum(value[node] << (2 - k) for k, node in enumerate(nodes))
                assert (reduced >> short & 1) ^ inverted == table >> row & 1


def test_the_all_ama5_array_collapses_to_wires() -> None:
    """P = x0*Y + 2^24 * (X & ~1) * y23 needs one AND gate for each product bit."""
    netlist = simplify(design("axfpm").netlist())
    assert netlist.count() == {"and2": 47}
    assert len(design("axfpm").netlist().instances) == 24 * 24 + 23 * 24
    assert len(design("axfpm").program()) <= 48


def test_exact_arrays_keep_every_cell() -> None:
    netlist = design("exact").netlist()
    assert netlist.count() == {"and2": 576, "exact": 552}
    assert simplify(netlist).count() == netlist.count()


def test_constants_aliases_and_dead_logic_are_removed() -> None:
    builder = NetlistBuilder("t")
    (x, y, z) = builder.input("x", 3)
    one, _ = builder.add(CELLS["exact"], x, y, z)
    again, carry = builder.add(CELLS["exact"], x, y, z)
    swapped, _ = builder.add(CELLS["exact"], z, x, y)
    (nothing,) = builder.add(AND2, x, ZERO)
    (same,) = builder.add(AND2, x, ONE)
    builder.add(HALF_ADDER, x, y)
    builder.output("product", [one, again, swapped, nothing, same, carry])
    simplified = simplify(builder.build())
    assert simplified.count() == {"exact": 1}
    bus = simplified.outputs["product"]
    assert bus[0] == bus[1] == bus[2]
    assert (bus[3], bus[4]) == (ZERO, simplified.inputs["x"][0])
    assert bus[5] != bus[0]


def test_a_netlist_prints_one_instance_a_line() -> None:
    builder = NetlistBuilder("pair")
    x, y = builder.input("x", 1), builder.input("y", 2)
    (product,) = builder.add(AND2, x[0], y[1], place=(0, 1))
    builder.output("product", builder.add(HALF_ADDER, product, ONE))
    assert str(builder.build()).splitlines() == [
        "netlist pair",
        "input x = 2",
        "input y = 3, 4",
        "5 = and2(2, 4) @ (0, 1)",
        "6, 7 = half_adder(5, 1)",
        "output product = 6, 7",
    ]


def test_digest_ignores_names_and_places_only() -> None:
    def build(name: str, place: tuple[int, int] | None, order: bool, gate: str = "and2") -> Netlist:
        builder = NetlistBuilder(name)
        x, y = builder.input(f"x_{name}", 1), builder.input("y", 1)
        nets = (x[0], y[0]) if order else (y[0], x[0])
        builder.output("p", builder.add(GATES[gate], *nets, place=place))
        return builder.build()

    digest = build("a", None, True).digest()
    assert build("b", (1, 2), True).digest() == digest
    assert build("a", None, False).digest() != digest
    assert build("a", None, True, "or2").digest() != digest


def test_netlists_of_named_designs_hold_their_invariants() -> None:
    for entry in NAMED.values():
        netlist = entry.netlist()
        check_invariants(netlist)
        check_invariants(simplify(netlist))
        assert [len(bus) for bus in netlist.inputs.values()] == list(entry.shape)
        tiled = entry.tile is not None
        assert len(netlist.outputs["product"]) == sum(entry.shape) + tiled


def test_pack_and_unpack_are_inverse() -> None:
    rng = np.random.default_rng(0)
    for width in (1, 7, 24, 64):
        for count in (1, 63, 64, 65, 200):
            values = rng.integers(0, 2**width - 1, count, dtype=np.uint64, endpoint=True)
            planes = pack(values, width)
            assert planes.shape == (width, -(-count // 64))
            np.testing.assert_array_equal(unpack(planes, count), values)
            assert planes[0, 0] >> np.uint64(0) & np.uint64(1) == values[0] & np.uint64(1)


def test_programs_of_designs_repeat_no_operation() -> None:
    """Common logic is shared: no two operations of a program are the same function of the same operands."""
    for entry in (design("axfpm_tiled"), design("heap"), Design(format=None, width=6, placement="ama1")):
        program = entry.program()
        keys = {(int(t), *map(int, row)) for t, row in zip(program.tables, program.operands, strict=True)}
        assert len(keys) == len(program)
