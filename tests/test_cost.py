"""The first cost model: area, energy and timing against brute force, views, baselines, and its standing."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from random_netlists import evaluate_row, random_netlist

from circuits import CELLS, NAMED, AdderCell, Design, DesignError, Netlist, cost_report, design
from circuits.cost import BASELINES, MEASURES, VIEWS
from circuits.engine.planes import pack
from circuits.netlist import GATES, NetlistBuilder
from circuits.technology import RELATIVE, area, energy, evaluate, timing, toggles
from circuits.technology.relative import depends, estimate_transistors

NOTE = "not yet characterised"


def brute_energy(netlist: Netlist, pairs: list[tuple[int, int]]) -> float:
    """Toggles of every output net between consecutive pairs, each T / outputs, one evaluation at a time."""
    total = 0.0
    states = []
    for x, y in pairs:
        inputs = {net: x >> k & 1 for k, net in enumerate(netlist.inputs["x"])}
        inputs |= {net: y >> k & 1 for k, net in enumerate(netlist.inputs["y"])}
        every = Netlist(netlist.name, netlist.inputs, {"all": tuple(range(netlist.nets))}, netlist.instances, 0)
        states.append(evaluate_row(every, inputs))
    for before, after in pairwise(states):
        for instance in netlist.instances:
            weight = RELATIVE.cost_of(instance.component).transistors / len(instance.outputs)
            total += weight * sum(before[net] != after[net] for net in instance.outputs)
    return total / (len(pairs) - 1)


def brute_delay(netlist: Netlist) -> float:
    """The longest of all paths, followed back from each output."""
    drivers = {net: (i, k) for i in netlist.instances for k, net in enumerate(i.outputs)}
    known: dict[int, float] = {}

    def arrival(net: int) -> float:
        if net not in known:
            known[net] = 0.0
            if net in drivers:
                instance, k = drivers[net]
                arcs = RELATIVE.cost_of(instance.component).delay[k]
                known[net] = max(
                    (
                        arrival(source) + arc
                        for source, arc in zip(instance.inputs, arcs, strict=True)
                        if arc is not None
                    ),
                    default=0.0,
                )
        return known[net]

    return max(arrival(net) for net in netlist.output_nets)


def test_energy_and_timing_equal_brute_force_on_random_netlists() -> None:
    rng = np.random.default_rng(1)
    for seed in range(25):
        netlist = random_netlist(seed)
        widths = [len(bus) for bus in netlist.inputs.values()]
        x, y = (rng.integers(0, 2**width, 70, dtype=np.uint64) for width in widths)
        pairs = list(zip(x.tolist(), y.tolist(), strict=True))
        assert energy(netlist, RELATIVE, x, y).energy == pytest.approx(brute_energy(netlist, pairs)), seed
        found = timing(netlist, RELATIVE)
        assert found.delay == brute_delay(netlist), seed
        assert len(found.path) <= found.delay


def test_the_longest_path_is_a_path() -> None:
    for name in ("exact", "axfpm_tiled", "heap"):
        netlist = design(name).netlist()
        found = timing(netlist, RELATIVE)
        nets = set(netlist.input_nets) | {0, 1}
        total = 0.0
        for before, after in pairwise(found.path):
            shared = set(before.outputs) & set(after.inputs)
            assert shared
            (net,) = shared
            arcs = RELATIVE.cost_of(before.component).delay[before.outputs.index(net)]
            total += next(arc for arc in arcs if arc is not None)
        assert nets & set(found.path[0].inputs)
        last = found.path[-1]
        assert set(last.outputs) & set(netlist.output_nets)
        steps = {arc for row in RELATIVE.cost_of(last.component).delay for arc in row if arc is not None}
        assert found.delay - total in steps


def test_toggles_over_word_boundaries() -> None:
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
    """exact: 576 AND gates of 6 and 552 mirror adders of 24 (FACTS 1); axfpm: the same places, two buffers each."""
    assert area(design("exact").netlist(), RELATIVE).transistors == 576 * 6 + 552 * 24
    assert area(design("axfpm").netlist(), RELATIVE).transistors == 576 * 6 + 552 * 8
    assert cost_report(design("axfpm")).drawn.cells == 1128


def test_longest_path_of_small_circuits() -> None:
    builder = NetlistBuilder("chain")
    (x,) = builder.input("x", 1)
    (y,) = builder.input("y", 1)
    (both,) = builder.add(GATES["and2"], x, y)
    (odd,) = builder.add(GATES["xor2"], both, y)
    total, carry = builder.add(CELLS["exact"], odd, x, y)
    late, early = builder.add(CELLS["ama5"], x, carry, total)  # sum = B, carry = A; Cin is not read
    builder.output("product", [late, early])
    # AND 1, XOR 2, majority 3, buffer 1 in two-input gate depths.
    assert timing(builder.build(), RELATIVE).delay == 1 + 2 + 3 + 1


def test_costs_of_components() -> None:
    exact, wires = RELATIVE.cost_of(CELLS["exact"]), RELATIVE.cost_of(CELLS["ama5"])
    assert exact.delay == ((4, 4, 4), (3, 3, 3))
    assert wires.delay == ((None, 1, None), (1, None, None))
    assert (exact.transistors, exact.estimated, exact.energy) == (24, False, (12, 12))
    assert RELATIVE.cost_of(GATES["not"]).delay == ((1,),)
    unknown = RELATIVE.cost_of(AdderCell("mine", "01101001", "00010111"))
    assert (unknown.transistors, unknown.estimated) == (24, True)
    measured = AdderCell("mine", "01101001", "00010111", transistors=24, delay_ps=1e6, energy_fj=1e6, area_um2=1e6)
    assert RELATIVE.cost_of(measured) == exact, "measured values cannot be added to relative ones"
    constant = AdderCell("none", "00000000", "11111111")
    assert RELATIVE.cost_of(constant).delay == ((None, None, None), (None, None, None))


def test_depends() -> None:
    for table in range(256):
        for k in range(3):
            step = 4 >> k
            assert depends(table, k) == any(table >> r & 1 != table >> (r ^ step) & 1 for r in range(8))


def test_estimated_transistors() -> None:
    """The two counts that are certain (FACTS 1): the conventional mirror adder, and two buffers."""
    assert estimate_transistors(CELLS["exact"].tables) == 24
    assert estimate_transistors(CELLS["ama5"].tables) == 8
    assert estimate_transistors((0x00, 0xFF)) == 0
    assert estimate_transistors((0b00001111, 0b11110000)) == 2 + 4
    for entry in CELLS.values():
        if entry.transistors is not None and entry.source.startswith("Gupta"):
            assert estimate_transistors(entry.tables) <= entry.transistors


@pytest.mark.parametrize("name", NAMED)
def test_every_report_says_where_it_stands(name: str) -> None:
    report = cost_report(design(name))
    assert (report.characterised, report.note, report.technology) == (False, NOTE, "relative")
    assert set(report.baselines) == set(BASELINES)
    assert report.design == design(name).label
    assert report.cost_digest == design(name).cost_digest
    for measure in ("cells", "transistors", "energy", "delay"):
        assert 0 < getattr(report.simplified, measure) <= getattr(report.drawn, measure)
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data["note"] == NOTE
    assert data["ratios"].keys() == set(BASELINES)


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


def test_the_cost_does_not_depend_on_float_semantics() -> None:
    base = cost_report(design("axfpm_tiled"))
    assert cost_report(design("axfpm_released")).drawn == base.drawn
    assert cost_report(replace(design("axfpm_tiled"), rounding="nearest_even")).simplified == base.simplified


def test_seed_and_samples() -> None:
    entry = design("heap")
    one, again = cost_report(entry, seed=5), cost_report(entry, seed=5)
    assert one == again
    other = cost_report(entry, seed=6)
    assert other.drawn.energy != one.drawn.energy
    assert other.drawn.energy == pytest.approx(one.drawn.energy, rel=0.02)
    assert (other.drawn.delay, other.drawn.transistors) == (one.drawn.delay, one.drawn.transistors)
    assert cost_report(entry, samples=2).samples == 2


def test_integer_designs_of_any_shape() -> None:
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


def test_unpublished_counts_are_marked() -> None:
    assert cost_report(Design(placement="afa")).estimated == ("afa",)
    assert cost_report(design("axfpm")).estimated == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 1}, "2 <= samples <= 1048576 must hold, but got 1; choose an integer in that range."),
        ({"samples": 2.0}, "2 <= samples <= 1048576 must hold, but got 2.0; choose an integer in that range."),
        ({"seed": -1}, "0 <= seed <= 18446744073709551615 must hold, but got -1; choose an integer in that range."),
    ],
)
def test_wrong_arguments(options: dict[str, int], message: str) -> None:
    with pytest.raises(DesignError) as caught:
        cost_report(design("axfpm"), **options)
    assert str(caught.value) == message
