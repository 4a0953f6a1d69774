"""Netlists as arrays and from templates, against the netlist objects, one instance at a time."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from random_netlists import random_netlist

from circuits import CELLS, Design, Netlist, design
from circuits.designs.design_record import netlist_template
from circuits.multipliers import multiplier
from circuits.netlists import analysis_kernels
from circuits.netlists.netlist_arrays import arrays_of, netlist_of
from circuits.netlists.simplification import analyse, reduce_function

MIXED = ("exact", "ama1", "ama5", "ama2", "ama3", "exact", "ama4", "ama5")
DESIGNS = {
    "heap": design("heap"),
    "columns": Design(format="bfloat16", placement={"columns": [*MIXED, *MIXED]}, ports="csp"),
    "grid": Design(format=None, width=8, topology="carry_save_array", placement={"grid": [MIXED] * 9}, signed=True),
    "tiles": Design(format=None, width=8, tile=4, placement={"tiles": [["ama5", "exact"], ["ama1", "ama2"]]}),
    "tree": Design(format=None, width=8, topology="dadda", placement="ama3", final_adder="cell", half_adders="exact"),
    "booth": Design(format=None, width=8, topology="booth", placement="ama1", signed=True, truncate_columns=3),
    "family": Design(format=None, width=8, topology="drum", options={"k": 4}),
}


def fresh(netlist: Netlist) -> Netlist:
    """A copy of the netlist, without the arrays and analyses that are cached with it."""
    return replace(netlist)


def slow_literals(netlist: Netlist) -> list[int]:
    """Literals by dictionaries and `reduce_function`, net after net."""
    literals = {0: 0, 1: 1, **{net: 2 * node for node, net in enumerate(netlist.input_nets, 1)}}
    known: dict[tuple, int] = {}
    for instance in netlist.instances:
        operands = [literals[net] for net in instance.inputs]
        for table, net in zip(instance.component.tables, instance.outputs, strict=True):
            reduced, nodes, inverted = reduce_function(table, operands)
            if len(nodes) > 1:
                node = known.setdefault((reduced, nodes), len(netlist.input_nets) + 1 + len(known))
            else:
                node = nodes[0] if nodes else 0
            literals[net] = 2 * node ^ inverted
    return [literals[net] for net in range(netlist.nets)]


def assert_same_arrays(one: Netlist, other: Netlist) -> None:
    first, second = arrays_of(one), arrays_of(other)
    assert first.components == second.components
    for name in ("kinds", "pins", "driven", "places", "input_nets", "output_nets", "tables"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def test_arrays_hold_the_whole_netlist() -> None:
    for seed in range(60):
        netlist = random_netlist(seed)
        assert netlist_of(arrays_of(netlist)) == netlist
        assert analyse(netlist).literals.tolist() == slow_literals(netlist)


@pytest.mark.parametrize("name", DESIGNS)
def test_a_template_gives_what_the_generator_draws(name: str) -> None:
    subject = DESIGNS[name]
    drawn = multiplier(
        subject.topology,
        subject.shape,
        lambda i, j: subject.placement.at(i, j, subject.tile),
        ports=subject.ports,
        half_adders=subject.half_adders,
        final_adder=subject.final_adder,
        tile=subject.tile,
        signed=subject.signed,
        truncate_columns=subject.truncate_columns,
        options=subject.options,
        overflow_bit=subject.tile is not None,
    )
    # Filled with other cells in between: what a template keeps of one design must not reach another.
    template = netlist_template(subject)
    template.fill(Design(placement="ama4").placement)
    filled = template.fill(subject.placement)
    assert filled == drawn == subject.netlist()
    assert_same_arrays(filled, fresh(drawn))
    assert filled.digest() == fresh(drawn).digest() == slow_digest(drawn)
    assert analyse(filled).literals.tolist() == slow_literals(drawn)


def slow_digest(netlist: Netlist) -> str:
    """The digest by its definition, instance after instance."""
    digest = hashlib.sha256(b"netlist 1")
    for buses in (netlist.inputs, netlist.outputs):
        digest.update(repr([list(bus) for bus in buses.values()]).encode())
    for instance in netlist.instances:
        digest.update(repr((instance.component.tables, instance.inputs, instance.outputs)).encode())
    return digest.hexdigest()


def test_the_compiled_reduction_is_that_of_python() -> None:
    choices = [0, 1, 2, 5, 6]  # 0, 1, node 1, node 2 inverted, node 3
    nodes = np.zeros(3, dtype=np.int64)
    for table in range(0, 256, 3):
        for operands in np.stack(np.meshgrid(choices, choices, choices), -1).reshape(-1, 3):
            reduced, left, inverted = analysis_kernels.reduced(table, operands, nodes)
            assert (reduced, tuple(nodes[:left]), inverted) == reduce_function(table, operands.tolist())


def test_a_cell_of_the_design_that_the_generator_draws_too_is_one_component() -> None:
    """Exact cells stand in the placement and in the exact final adder."""
    subject = Design(format=None, width=4, topology="carry_save_array", placement={"columns": ["exact", "ama5"] * 4})
    components = arrays_of(subject.netlist()).components
    assert len(components) == len(set(components))
    assert CELLS["exact"] in components
