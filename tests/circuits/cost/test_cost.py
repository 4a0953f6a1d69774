"""The cost model: area, energy and timing against brute force, orders that must hold, views, baselines, estimates."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_netlists import evaluate_row, random_netlist
from table_values import at

import circuits.commands.cells
from circuits import (
    CELLS,
    NAMED,
    TOPOLOGIES,
    AdderCell,
    Design,
    DesignError,
    Netlist,
    UnknownNameError,
    cost_report,
    design,
    netlist_from_verilog,
    technology,
    true_timing,
)
from circuits.cells import adder_cells
from circuits.commands import main as cli
from circuits.cost import (
    CORNERS,
    Timing,
    cells45,
    circuit_energy,
    circuit_of,
    evaluate,
    netlist_area,
    netlist_energy,
    netlist_timing,
    toggles,
    transitions,
)
from circuits.cost.circuit import INPUT_SLEW, OUTPUT_LOAD, TYPICAL_SLEW, transition_energies
from circuits.cost.cost_model import BASELINES, EXACT, MEASURES, OWN_TOPOLOGY, VIEWS, CostView
from circuits.designs import digests
from circuits.drawing.array_places import array_drawing_of
from circuits.engine.bit_planes import pack
from circuits.netlists.gates import GATES, Gate
from circuits.netlists.netlist import NetlistBuilder
from circuits.netlists.simplification import simplify

NOMINAL = technology()
FREE = (2, 2, 2)


def loads_of(netlist: Netlist) -> dict[int, float]:
    """Net -> capacitance of the pins that read it, and of the output where it is one."""
    loads = {net: OUTPUT_LOAD * (net in netlist.output_nets) for net in range(netlist.nets)}
    for instance in netlist.instances:
        for net, capacitance in zip(instance.inputs, NOMINAL.cost_of(instance.component).capacitance, strict=True):
            loads[net] += capacitance
    return loads


def constants_of(inputs: tuple[int, ...]) -> tuple[int, int, int]:
    """The constant at each of three pins, or 2 where the pin is free or absent."""
    a, b, c = (*inputs, -1, -1)[:3]
    return (a if a in (0, 1) else 2, b if b in (0, 1) else 2, c if c in (0, 1) else 2)


def brute_energy(netlist: Netlist, pairs: list[tuple[int, int]]) -> float:
    """Energy per pair from the toggles of every pin and net between consecutive pairs, one evaluation at a time."""
    loads = loads_of(netlist)
    states = []
    for x, y in pairs:
        inputs = {net: x >> k & 1 for k, net in enumerate(netlist.inputs["x"])}
        inputs |= {net: y >> k & 1 for k, net in enumerate(netlist.inputs["y"])}
        every = Netlist(netlist.name, netlist.inputs, {"all": tuple(range(netlist.nets))}, netlist.instances, 0)
        states.append(evaluate_row(every, inputs))
    total = 0.0
    for instance in netlist.instances:
        fit = transition_energies(instance.component, constants_of(instance.inputs), NOMINAL)
        load = sum(loads[net] for net in instance.outputs) / len(instance.outputs)
        each = [at(table, NOMINAL, TYPICAL_SLEW, load) for table in fit]
        for before, after in pairwise(states):
            moved = [before[net] != after[net] for net in (*instance.inputs, *instance.outputs)]
            total += sum(e for e, m in zip(each[: len(instance.inputs)], moved, strict=False) if m)
            total += sum(e for e, m in zip(each[3:], moved[len(instance.inputs) :], strict=False) if m)
            total += sum(loads[net] / 2 for net in instance.outputs if before[net] != after[net])
    return total / (len(pairs) - 1)


def brute_delay(netlist: Netlist) -> float:
    """The longest delay: rise and fall of every net over all arcs that constants allow, traced from the outputs."""
    drivers = {net: (i, k) for i in netlist.instances for k, net in enumerate(i.outputs)}
    loads = loads_of(netlist)
    known: dict[int, dict[int, tuple[float, float]]] = {0: {}, 1: {}}

    def arrivals(net: int) -> dict[int, tuple[float, float]]:
        """edge -> (arrival, slew); absent where the net never makes it."""
        if net in known:
            return known[net]
        if net not in drivers:
            return {0: (0.0, INPUT_SLEW), 1: (0.0, INPUT_SLEW)}
        instance, output = drivers[net]
        data, table = NOMINAL.cost_of(instance.component), instance.component.tables[output]
        constants = constants_of(instance.inputs)
        found: dict[int, tuple[float, float]] = {}
        for pin, source in enumerate(instance.inputs):
            for edge, (arrival, slew) in arrivals(source).items():
                for out in (0, 1):
                    rows = [
                        row
                        for row in range(8)
                        if row >> (2 - pin) & 1 == edge
                        and table >> row & 1 == out
                        and all(c == 2 or row >> (2 - k) & 1 == c for k, c in enumerate(constants))
                        and not np.isnan(data.delay[pin, row, output, 0, 0])
                    ]
                    if rows:
                        tables = [
                            np.max([t[pin, row, output] for row in rows], axis=0) for t in (data.delay, data.slew)
                        ]
                        delay, ramp = (at(t, NOMINAL, slew, loads[net]) for t in tables)
                        if out not in found or arrival + delay > found[out][0]:
                            found[out] = arrival + delay, ramp
        known[net] = found
        return found

    return max((arrival for net in netlist.output_nets for arrival, _ in arrivals(net).values()), default=0.0)


@pytest.mark.slow
def test_energy_and_timing_equal_brute_force_on_random_netlists() -> None:
    rng = np.random.default_rng(1)
    for seed in range(25):
        netlist = random_netlist(seed)
        widths = [len(bus) for bus in netlist.inputs.values()]
        x, y = (rng.integers(0, 2**width, 20, dtype=np.uint64) for width in widths)
        pairs = list(zip(x.tolist(), y.tolist(), strict=True))
        assert netlist_energy(netlist, NOMINAL, (x, y)).energy == pytest.approx(brute_energy(netlist, pairs)), seed
        assert netlist_timing(netlist, NOMINAL).delay == pytest.approx(max(brute_delay(netlist), 0.0)), seed


def test_the_longest_path_runs_from_an_input_to_an_output() -> None:
    for name in ("exact", "axfpm_tiled", "heap", "bfloat16"):
        netlist = design(name).netlist()
        found = netlist_timing(netlist, NOMINAL)
        for before, after in pairwise(found.path):
            assert set(before.instance.outputs) & set(after.instance.inputs)
            assert after.arrival == pytest.approx(before.arrival + after.delay)
        assert set(netlist.input_nets) & set(found.path[0].instance.inputs)
        assert set(found.path[-1].instance.outputs) & set(netlist.output_nets)
        assert found.path[0].arrival == pytest.approx(found.path[0].delay)
        assert found.path[-1].arrival == found.delay


def test_toggles_are_counted_across_word_boundaries() -> None:
    rng = np.random.default_rng(2)
    for count in (2, 3, 63, 64, 65, 128, 129, 200):
        values = rng.integers(0, 2**9, count, dtype=np.uint64)
        bits = (values[None, :] >> np.arange(9, dtype=np.uint64)[:, None]) & np.uint64(1)
        expected = np.count_nonzero(bits[:, 1:] != bits[:, :-1], axis=1)
        np.testing.assert_array_equal(toggles(pack(values, 9), count), expected)


def test_evaluate_keeps_constants_and_inputs() -> None:
    netlist = design("exact").netlist()
    planes = np.random.default_rng(3).integers(0, 2**64, (48, 5), dtype=np.uint64)
    values = evaluate(netlist, planes)
    assert not values[0].any()
    assert (~values[1] == 0).all()
    np.testing.assert_array_equal(values[list(netlist.input_nets)], planes)


def test_area_is_counted_as_drawn() -> None:
    """exact: 576 AND gates of 6 and 552 mirror adders of 24 (FACTS 1); axfpm: the same positions, two buffers each."""
    assert netlist_area(design("exact").netlist(), NOMINAL).transistors == 576 * 6 + 552 * 24
    found = netlist_area(design("axfpm").netlist(), NOMINAL)
    assert found.transistors == 576 * 6 + 552 * 8
    assert found.area == pytest.approx(576 * 1.064 + 552 * 1.33)
    assert cost_report(design("axfpm")).drawn.cells == 1128


# ---- arc-delay simulation


@pytest.mark.slow
def test_the_arc_delay_simulation_settles_at_the_function() -> None:
    """Every net toggles an odd number of times exactly where its settled value changes."""
    rng = np.random.default_rng(5)
    for seed in range(25):
        netlist = random_netlist(seed)
        operands = [rng.integers(0, 2 ** len(bus), 2, dtype=np.uint64) for bus in netlist.inputs.values()]
        circuit = circuit_of(netlist, NOMINAL)
        planes = [pack(v, len(bus)) for v, bus in zip(operands, netlist.inputs.values(), strict=True)]
        settled = toggles(evaluate(netlist, np.concatenate(planes)), 2)
        found = transitions(circuit, operands)
        np.testing.assert_array_equal(found.toggles % 2, settled)
        assert found.settled.max() <= netlist_timing(netlist, NOMINAL).delay * (1 + 1e-9) + 1e-9


def test_an_adder_that_switches_alone_costs_what_was_characterised() -> None:
    """Inputs switch one at a time, far apart: energies and delays are those of the characterised table."""
    builder = NetlistBuilder("one")
    (a,), (b,), (c,) = (builder.input(name, 1) for name in "abc")
    outputs = builder.add(CELLS["exact"], a, b, c)
    builder.output("sum", outputs[:1])
    builder.output("carry", outputs[1:])
    circuit = circuit_of(builder.build(), NOMINAL)
    data = NOMINAL.cost_of(CELLS["exact"])
    walk = [0b000, 0b001, 0b011, 0b111, 0b101, 0b100, 0b110]
    operands = [np.array([row >> k & 1 for row in walk], dtype=np.uint64) for k in (2, 1, 0)]
    found = transitions(circuit, operands)
    for k, (before, row) in enumerate(pairwise(walk)):
        pin = 3 - (before ^ row).bit_length()
        changed = [o for o in (0, 1) if not np.isnan(data.delay[pin, row, o, 0, 0])]
        assert found.internal[k] == pytest.approx(data.energy[pin, row, 0, 0])
        rising = sum(CELLS["exact"].tables[o] >> row & 1 for o in changed)
        assert found.loading[k] == pytest.approx(OUTPUT_LOAD * rising)
        assert found.settled[k] == pytest.approx(max(data.delay[pin, row, o, 0, 0] for o in changed))


@pytest.mark.parametrize(("cell", "rises"), [("ama5", (0, 1)), ("ama1", (0,))])
def test_a_net_on_two_pins_reaches_them_one_after_the_other(cell: str, rises: tuple[int, ...]) -> None:
    """A net on pins A and B: what was characterised for A while B has its old value, then for B. Cases without pulses
    that are swallowed on the way, by the value of the third pin."""
    builder = NetlistBuilder("tied")
    (a,), (c,) = (builder.input(name, 1) for name in "ac")
    outputs = builder.add(CELLS[cell], a, a, c)
    builder.output("sum", outputs[:1])
    builder.output("carry", outputs[1:])
    made = circuit_of(builder.build(), NOMINAL)
    energy = NOMINAL.cost_of(CELLS[cell]).energy[..., 0, 0]
    for third in rises:
        operands = [np.array([0, 1, 0], dtype=np.uint64), np.full(3, third, dtype=np.uint64)]
        up, down = transitions(made, operands).internal
        assert up == pytest.approx(energy[0, 0b100 | third] + energy[1, 0b110 | third])
        assert down == pytest.approx(energy[0, 0b010 | third] + energy[1, 0b000 | third])


def test_short_pulses_are_swallowed_and_long_ones_pass() -> None:
    """x XOR (x delayed by a chain of buffers) makes a pulse as wide as the chain is slow."""
    counts = []
    for length in (1, 12):
        builder = NetlistBuilder("pulse")
        (x,) = builder.input("x", 1)
        net = x
        for _ in range(length):
            (net,) = builder.add(GATES["buffer"], net)
        builder.output("y", builder.add(GATES["xor2"], x, net))
        circuit = circuit_of(builder.build(), NOMINAL)
        found = transitions(circuit, [np.array([0, 1], dtype=np.uint64)])
        counts.append((int(found.toggles[builder.build().output_nets[0]]), float(found.energy[0])))
    assert [toggled for toggled, _ in counts] == [0, 2]
    quiet = circuit_energy(circuit, [np.array([0, 1], dtype=np.uint64)])
    assert quiet.energy < counts[1][1]


def test_glitches_only_add_energy_where_paths_differ() -> None:
    x = np.random.default_rng(6).integers(0, 256, 200, dtype=np.uint64)
    for cell, least in (("exact", 1.3), ("ama5", 0.85)):
        circuit = circuit_of(Design(format=None, width=8, placement=cell).netlist(), NOMINAL)
        quiet, full = (circuit_energy(circuit, (x, x[::-1]), glitches=g) for g in ("none", "arc_delay"))
        assert full.energy > least * quiet.energy
        assert full.leakage == quiet.leakage
        assert (quiet.glitches, full.glitches) == ("none", "arc_delay")


# ---- orders that must hold


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("glitches", ["none", "arc_delay"])
def test_ama5_is_lowest_and_exact_above_it(topology: str, glitches: str) -> None:
    found = {
        name: cost_report(
            Design(format=None, width=8, topology=topology, placement=name, final_adder="cell"),
            samples=65,
            glitches=glitches,
        ).drawn
        for name in ("exact", "ama1", "ama2", "ama3", "ama4", "ama5")
    }
    for measure in ("area", "energy", "delay"):
        values = {name: getattr(view, measure) for name, view in found.items()}
        assert min(values, key=values.__getitem__) == "ama5", (measure, values)
        assert values["exact"] > values["ama5"]


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("name", ["exact", "ama1", "ama3", "ama5"])
def test_wider_never_costs_less_as_drawn(topology: str, name: str) -> None:
    found = [
        cost_report(Design(format=None, width=width, topology=topology, placement=name), samples=512).drawn
        for width in (3, 4, 6, 8, 11, 16)
    ]
    for narrow, wide in pairwise(found):
        for measure in ("cells", "transistors", "area", "energy", "leakage"):
            assert getattr(narrow, measure) <= getattr(wide, measure), measure
        assert narrow.delay <= wide.delay * (1 + 1e-9)


@pytest.mark.slow
@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_simplification_never_raises_cells_or_area(seed: int) -> None:
    netlist = random_netlist(seed)
    before, after = (netlist_area(entry, NOMINAL) for entry in (netlist, simplify(netlist)))
    assert after.cells <= before.cells
    assert after.transistors <= before.transistors
    assert after.area <= before.area + 1e-9


# ---- the table


def test_corners_are_ordered() -> None:
    slow, typical, fast = (
        netlist_timing(design("exact").netlist(), technology(corner)).delay for corner in ("ss", "nom", "ff")
    )
    assert fast < typical < slow
    assert set(CORNERS) == {"nom", "ss", "ff"}
    with pytest.raises(DesignError, match="unknown corner 'tt'"):
        technology("tt")


@pytest.mark.parametrize("part", [*GATES.values(), *CELLS.values()], ids=lambda part: part.name)
@pytest.mark.parametrize("corner", CORNERS)
def test_every_component_is_characterised(part: AdderCell | Gate, corner: str) -> None:
    data = technology(corner).cost_of(part)
    assert not data.estimated
    inputs = len(part.inputs)
    for pin in range(inputs):
        for row in range(0, 8, 1 << (3 - inputs)):
            assert np.isfinite(data.energy[pin, row]).all()
            for output, table in enumerate(part.tables):
                changes = table >> row & 1 != table >> (row ^ 4 >> pin) & 1
                assert np.isfinite(data.delay[pin, row, output]).all() == changes
                if changes:
                    # More load is later and slower; arcs are causal.
                    assert (np.diff(data.delay[pin, row, output], axis=1) > 0).all()
                    assert (np.diff(data.slew[pin, row, output], axis=1) > 0).all()
                    assert data.delay[pin, row, output].min() > 0
    assert data.area >= 0
    assert len(data.capacitance) == inputs


def test_areas_and_orders_are_those_of_a_reference_library() -> None:
    """FACTS 5: areas of INV, BUF, NAND2, AND2 and XOR2, and their order in delay and capacitance (16 ps inverter)."""
    areas = {"not": 0.532, "buffer": 0.798, "nand2": 0.798, "and2": 1.064, "xor2": 1.596}
    data = {name: NOMINAL.cost_of(GATES[name]) for name in areas}
    assert {name: data[name].area for name in areas} == pytest.approx(areas)
    worst = {name: float(np.nanmax(entry.delay[..., 0, 1])) for name, entry in data.items()}
    assert worst["not"] < worst["buffer"] < worst["xor2"]
    assert worst["not"] < worst["nand2"] < worst["and2"] < worst["xor2"]
    # 3.2 fF: 15.8 ps in FACTS 5.
    assert at(data["not"].delay[0, 0, 0], NOMINAL, 20, 3.2) == pytest.approx(15.8, abs=2)


# ---- estimates and given numbers


def test_estimates_are_near_what_was_characterised() -> None:
    for name in ("exact", "ama1", "ama2", "ama4", "ama5", "inxa1", "axa3", "loa"):
        known = CELLS[name]
        own = NOMINAL.cost_of(AdderCell("own", known.sum, known.carry))
        data = NOMINAL.cost_of(known)
        assert own.estimated
        assert own.area == pytest.approx(data.area, rel=0.6)
        assert np.nanmax(own.delay) == pytest.approx(np.nanmax(data.delay), rel=0.5)
        np.testing.assert_array_equal(np.isnan(own.delay), np.isnan(data.delay))


def test_networks_compute_their_functions() -> None:
    from circuits.cost.characterize.gate_networks import gates, networks, parse

    def value(tree: object, row: int) -> int:
        if isinstance(tree, str):
            return {"a": row >> 2 & 1, "b": row >> 1 & 1, "c": row & 1, "0": 0, "1": 1}[tree]
        assert isinstance(tree, tuple)
        bits = [value(part, row) for part in tree[1:]]
        return gates()[tree[0]].tables[0] >> sum(bit << (2 - k) for k, bit in enumerate(bits)) & 1

    for table, text in enumerate(networks()):
        assert sum(value(parse(text), row) << row for row in range(8)) == table, text


def test_numbers_given_with_a_cell_are_used() -> None:
    xor, majority = CELLS["exact"].behaviour
    mine = AdderCell("mine", xor, majority, transistors=26, delay_ps=100.0, energy_fj=2.5, area_um2=3.25)
    data = NOMINAL.cost_of(mine)
    assert (data.estimated, data.transistors, data.area) == (False, 26, 3.25)
    assert np.nanmin(data.delay) == np.nanmax(data.delay) == 100
    assert set(np.unique(data.energy)) == {2.5, 5.0}  # one or both outputs change
    part = NOMINAL.cost_of(replace(mine, area_um2=None))
    assert part.estimated
    assert part.area == NOMINAL.cost_of(AdderCell("other", xor, majority)).area
    report = cost_report(Design(placement=replace(mine, area_um2=None)))
    assert report.estimated == ("mine",)
    assert "estimates for mine" in report.note
    assert cost_report(Design(placement=mine)).estimated == ()
    # The longest path: 24 positions of the first row, two of each of the 22 others, and an AND gate.
    assert cost_report(Design(placement=mine)).drawn.delay == pytest.approx(100 * (24 + 2 * 22), abs=50)


def test_constants_have_no_arcs_and_cost_nothing() -> None:
    data = NOMINAL.cost_of(AdderCell("none", "00000000", "11111111"))
    assert np.isnan(data.delay).all()
    assert (data.area, data.transistors) == (0, 0)
    report = cost_report(Design(format=None, width=4, placement=AdderCell("none", "00000000", "11111111")))
    assert report.drawn.energy > 0


def test_gates_from_outside_the_library_are_estimated() -> None:
    gate = Gate("two", ("a", "b", "c"), ("p", "q", "r"), (0b10010110, 0b11101000, 0b10000000), 30)
    builder = NetlistBuilder("own")
    x = builder.input("x", 3)
    builder.output("y", builder.add(gate, *x))
    netlist = builder.build()
    found = netlist_area(netlist, NOMINAL)
    assert (found.cells, found.transistors, found.estimated) == (1, 30, ("two",))
    assert netlist_timing(netlist, NOMINAL).path[-1].instance.component is gate
    assert netlist_energy(netlist, NOMINAL, [np.arange(8, dtype=np.uint64)]).energy > 0


# ---- reports


@pytest.mark.parametrize("name", NAMED)
def test_every_report_states_its_conditions_and_baselines(name: str) -> None:
    report = cost_report(design(name))
    assert report.technology == "cmos45_nom"
    assert report.note.startswith("45 nm, 1 V, 25 C, nom, ngspice-39 of ")
    assert "mantissa multiplier; zero-delay activity, no glitches" in report.note
    assert report.estimated == ()
    assert set(report.baselines) == set(BASELINES)
    assert report.design == design(name).label
    assert report.cost_digest == design(name).cost_digest
    for measure in ("cells", "transistors", "area", "energy", "leakage"):
        assert 0 < getattr(report.simplified, measure) <= getattr(report.drawn, measure)
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data["note"] == report.note
    assert data["ratios"].keys() == set(BASELINES)
    assert data["units"] == {
        "cells": "instances",
        "transistors": "transistors",
        "area": "um^2",
        "energy": "fJ",
        "delay": "ps",
        "leakage": "nW",
    }


def test_ratios_refer_to_both_baselines_in_the_same_view() -> None:
    exact, tiled = cost_report(design("exact")), cost_report(design("axfpm_tiled"))
    own = cost_report(Design(tile=4, rounding="nearest_even"))
    for view in VIEWS:
        for measure in MEASURES:
            value = getattr(getattr(tiled, view), measure)
            assert tiled.ratios["exact"][view][measure] == value / getattr(getattr(exact, view), measure)
            ratio = tiled.ratio(measure, baseline="exact cells, same topology", view=view)
            assert ratio == value / getattr(getattr(own, view), measure)
            assert exact.ratio(measure, baseline="exact cells, same topology", view=view) == 1
            assert exact.ratio(measure, view=view) == 1
    with pytest.raises(UnknownNameError, match="unknown baseline 'own topology'"):
        exact.ratio("energy", baseline="own topology")


def test_the_mantissa_s_cost_does_not_depend_on_float_semantics() -> None:
    base = cost_report(design("axfpm_tiled"))
    assert cost_report(design("axfpm_released")).drawn == base.drawn
    assert cost_report(replace(design("axfpm_tiled"), rounding="nearest_even")).simplified == base.simplified


def test_the_whole_multiplier_costs_more_and_rounding_costs() -> None:
    mantissa, whole = (cost_report(design("axfpm"), whole=w, samples=256) for w in (False, True))
    rounded = cost_report(replace(design("axfpm"), rounding="nearest_even"), whole=True, samples=256)
    for measure in ("cells", "transistors", "area", "energy", "delay", "leakage"):
        assert getattr(mantissa.drawn, measure) < getattr(whole.drawn, measure) < getattr(rounded.drawn, measure)
    assert "whole float multiplier" in whole.note
    assert whole.ratio("delay") < 1


def test_the_seed_changes_the_energy_and_nothing_else() -> None:
    entry = design("heap")
    one, again = cost_report(entry, seed=5), cost_report(entry, seed=5)
    assert one == again
    other = cost_report(entry, seed=6)
    assert other.drawn.energy != one.drawn.energy
    assert other.drawn.energy == pytest.approx(one.drawn.energy, rel=0.02)
    assert (other.drawn.delay, other.drawn.transistors) == (one.drawn.delay, one.drawn.transistors)
    assert cost_report(entry, samples=2).samples == 2


def test_a_trace_decides_the_energy_and_unfit_ones_are_refused() -> None:
    stream = np.random.default_rng(4)
    x, w = stream.normal(size=(2, 300)).astype(np.float32)
    entry = design("axfpm_tiled")
    report = cost_report(entry, operands=(x, w))
    assert (report.samples, report.seed) == (300, None)
    constant = cost_report(entry, operands=(np.repeat(x[:1], 300), np.repeat(w[:1], 300)))
    assert constant.drawn.energy < 0.1 * report.drawn.energy, "operands that stay only leak"
    assert constant.drawn.energy == pytest.approx(constant.drawn.leakage * constant.drawn.delay * 1e-6)
    assert cost_report(entry, operands=(x, w), whole=True).drawn.energy > report.drawn.energy
    integers = Design(format=None, width=4, signed=True)
    assert cost_report(integers, operands=([-8, 7, 1], [3, -1, 0])).drawn.energy > 0
    with pytest.raises(DesignError, match="operands must be integers of 4 bits, but got int64 from -9 to 7"):
        cost_report(integers, operands=([-9, 7], [3, -1]))
    with pytest.raises(DesignError, match="two arrays of equal length of at least 2, but got lengths 1, 2"):
        cost_report(integers, operands=([1], [3, -1]))


def test_integer_designs_of_any_shape_have_costs() -> None:
    report = cost_report(Design(format=None, width=(5, 9), placement="ama4", topology="carry_save_array"))
    assert report.ratio("energy") < 1
    assert cost_report(Design(format=None, width=(2, 64), signed=True)).ratio("energy") == 1
    assert cost_report(Design(format=None, width=64)).ratio("transistors") == 1


def test_an_imported_design_is_compared_with_the_ripple_array() -> None:
    source = Design(format=None, width=6, placement="ama4", topology="carry_save_array")
    report = cost_report(Design(format=None, netlist=source.netlist()))
    assert report.drawn == cost_report(source).drawn
    exact, own = report.baselines.values()
    assert own == exact == cost_report(Design(format=None, width=6)).baselines["exact"]


def test_a_library_cell_that_is_not_characterised_yet_costs_what_a_users_cell_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new line in the library must not break costs before somebody has run ngspice."""
    new = AdderCell.from_expressions("newcell", "A ^ B ^ C", "B", source="this test")
    own = replace(new, name="owncell")
    for module in (adder_cells, cells45, digests, circuits.commands.cells):
        monkeypatch.setattr(module, "CELLS", {**CELLS, "newcell": new})
    placed = {"columns": ["newcell"] * 5 + ["exact"] * 3}
    library = Design(format=None, width=4, topology="carry_save_array", placement=placed, half_adders="exact")
    placed = {"columns": [own] * 5 + ["exact"] * 3}
    users = Design(format=None, width=4, topology="carry_save_array", placement=placed, half_adders="exact")
    report = cost_report(library)
    assert report.estimated == ("newcell",)
    assert report.drawn == cost_report(users).drawn
    assert report.drawn.energy > 0
    assert cli(["cells"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("newcell"))
    assert line.count("~") == 4, "transistors, area, delay and energy are all marked as estimates"


CONSTANT = "module m(input [3:0] x, input [3:0] y, output [7:0] p); assign p = 8'd165; endmodule"
WIRES = "module m(input [3:0] x, input [3:0] y, output [7:0] p); assign p = {x, y}; endmodule"
WIDE_WIRES = "module m(input [23:0] x, input [23:0] y, output [47:0] p); assign p = {x, y}; endmodule"
WITHOUT_CELLS = {
    "constants": Design(netlist=netlist_from_verilog(CONSTANT, where="m.v"), name="m"),
    "wires": Design(netlist=netlist_from_verilog(WIRES, where="m.v"), name="m"),
    "wires of a float design": Design(
        netlist=netlist_from_verilog(WIDE_WIRES, where="m.v"), format="float32", name="m"
    ),
    "truncated": Design(format=None, width=4, truncate_columns=7, name="m"),
    "truncated, tiled, float": Design(topology="dadda", tile=4, truncate_columns=47, name="m"),
}


@pytest.mark.parametrize("entry", WITHOUT_CELLS.values(), ids=WITHOUT_CELLS)
def test_a_design_without_cells_costs_nothing(
    entry: Design, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reports, commands and drawings work for circuits of constants or wires only, or say why they cannot."""
    assert not entry.netlist().instances
    for glitches in ("none", "arc_delay"):
        report = cost_report(entry, samples=8, glitches=glitches)
        assert report.drawn == report.simplified == CostView(0, 0, 0.0, 0.0, 0.0, 0.0, 0.0)
        assert report.ratio("energy") == 0
    assert netlist_timing(entry.netlist(), NOMINAL) == Timing(0.0, ())
    operands = [np.arange(4, dtype=np.uint64)] * 2
    assert transitions(circuit_of(entry.netlist(), NOMINAL), operands).energy.tolist() == [0, 0, 0]
    longest = true_timing(entry.netlist(), NOMINAL)
    assert (longest.delay, longest.bound, longest.path) == (0.0, 0.0, ())
    if entry.format is not None:
        assert cost_report(entry, samples=8, glitches="arc_delay", whole=True).drawn.energy > 0

    file = tmp_path / "m.toml"
    file.write_text(entry.to_toml())
    commands = (
        ["show", str(file), "--glitches", "arc_delay", "--samples", "500", "--cost-samples", "8"],
        ["metrics", str(file), "--samples", "500"],
        ["timing", str(file)],
        ["timing", str(file), "--simplified"],
        ["export", str(file)],
        ["export", str(file), "--format", "blif"],
        ["multiply", str(file), "3", "5", "--trace"],
    )
    for arguments in commands:
        assert cli(arguments) == 0, arguments
        printed = capsys.readouterr().out
        assert "nan" not in printed.split(), arguments
        if arguments[0] == "timing":
            assert "No operand changes an output through a cell." in printed
    # A circuit without positions is drawn by levels; it cannot be drawn as an array.
    assert cli(["draw", str(file), "-o", str(tmp_path / "m.png")]) == 0
    capsys.readouterr()
    assert cli(["draw", str(file), "-o", str(tmp_path / "n.png"), "--view", "places"]) == 2
    why = (
        "m is an imported circuit without; draw it by levels"
        if entry.imported is not None
        else "every cell of m lies in a truncated column; lower truncate_columns"
    )
    message = f"error: a drawing of an array needs cells with rows and columns, but {why}.\n"
    assert capsys.readouterr().err == message
    with pytest.raises(DesignError, match=re.escape(why)):
        array_drawing_of(entry)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 1}, "2 <= samples <= 1048576 must hold, but got 1; choose an integer in that range."),
        ({"samples": 2.0}, "2 <= samples <= 1048576 must hold, but got 2.0; choose an integer in that range."),
        ({"seed": -1}, "0 <= seed <= 18446744073709551615 must hold, but got -1; choose an integer in that range."),
        ({"glitches": "some"}, "unknown activity model 'some'; nearest: none."),
    ],
)
def test_arguments_out_of_range_are_refused_with_the_whole_message(options: dict[str, int], message: str) -> None:
    with pytest.raises(DesignError) as caught:
        cost_report(design("axfpm"), **options)
    assert str(caught.value) == message


def test_a_whole_integer_multiplier_is_refused() -> None:
    with pytest.raises(DesignError, match="needs a float format, but got format=None; leave it out"):
        cost_report(Design(format=None, width=4), whole=True)


def test_energy_of_floats_is_that_of_mantissas_with_the_leading_one() -> None:
    """The leading one of a mantissa never switches: the energy is that of random values in [1, 2), not of integers."""
    rng = np.random.default_rng(3)
    for fmt in ("bfloat16", "fp8_e4m3"):
        entry = Design(format=fmt)
        trace = [(1 + rng.random(4000)).astype(np.float32) for _ in range(2)]
        expected = cost_report(entry, operands=(trace[0], trace[1])).drawn.energy
        integers = cost_report(replace(entry, format=None, width=entry.shape), samples=4000).drawn.energy
        energy = cost_report(entry, samples=4000).drawn.energy
        assert energy == pytest.approx(expected, rel=0.03)
        assert abs(integers / expected - 1) > 0.06


def test_a_whole_multiplier_is_compared_with_one_that_rounds_to_nearest() -> None:
    """The baseline `exact` rounds to nearest; the baseline of exact cells in the design's own topology truncates."""
    entry = Design(placement="ama5", format="bfloat16")
    report = cost_report(entry, whole=True, samples=128)
    nearest, truncating = (
        cost_report(Design(format="bfloat16", rounding=rounding), whole=True, samples=128).drawn
        for rounding in ("nearest_even", "truncate")
    )
    assert report.baselines[EXACT][0] == nearest
    assert report.baselines[OWN_TOPOLOGY][0] == truncating
    assert nearest.transistors > truncating.transistors
