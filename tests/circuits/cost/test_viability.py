"""True paths: the definition for all operands, the simulation of all transitions, false paths, the SAT solver."""

from __future__ import annotations

from functools import cache
from itertools import pairwise, product

import numpy as np
import pytest
from random_netlists import random_netlist
from table_values import at

from circuits import Design, Netlist, TrueTiming, design, technology, true_timing
from circuits.cells.adder_cells import cell
from circuits.cost import circuit_of, netlist_timing, transitions
from circuits.cost.timing import structure
from circuits.cost.true_paths.arrival_model import ArrivalModel, prime_implicants
from circuits.cost.true_paths.proof_budget import RESOLUTION
from circuits.cost.true_paths.satisfiability import SATISFIABLE, UNDECIDED, UNSATISFIABLE, solve
from circuits.netlists.gates import AND2, BUFFER, MUX2, NOT
from circuits.netlists.netlist import NetlistBuilder

NOMINAL = technology()
CELLS = ("exact", "ama1", "ama2", "ama3", "ama4", "ama5", "axa3", "inxa1")
TOPOLOGIES = ("ripple_array", "carry_save_array", "wallace")
SLEWS = 1.003
"""The simulation computes its own slews, so its worst delay may exceed one at structural slews by this factor."""


def brute(netlist: Netlist) -> float:
    """The longest true delay by its definition, for all operands.

    An arc into a row of the truth table comes as late as the edge of its pin, but no later than any pin settles whose
    value in that row differs from its settled value.
    """
    circuit = circuit_of(netlist, NOMINAL)
    slews, loads = structure(circuit).slew, circuit.loads

    @cache
    def delay(number: int, pin: int, row: int, output: int) -> float:
        instance = netlist.instances[number]
        table = NOMINAL.cost_of(instance.component).delay[pin, row, output]
        edge = row >> (2 - pin) & 1
        return at(table, NOMINAL, slews[instance.inputs[pin], edge], loads[instance.outputs[output]])

    worst = 0.0
    nets = netlist.input_nets
    for bits in product((0, 1), repeat=len(nets)):
        value = {0: 0, 1: 1, **dict(zip(nets, bits, strict=True))}
        events: dict[int, dict[int, float]] = {0: {}, 1: {}, **{n: {b: 0.0} for n, b in zip(nets, bits, strict=True)}}
        for number, instance in enumerate(netlist.instances):
            pins = range(len(instance.inputs))
            settled = sum(value[net] << (2 - k) for k, net in enumerate(instance.inputs))
            for output, (table, net) in enumerate(zip(instance.component.tables, instance.outputs, strict=True)):
                value[net] = table >> settled & 1
                found: dict[int, float] = {}
                for pin in pins:
                    for row in range(0, 8, 1 << (3 - len(pins))):
                        before = row ^ 4 >> pin
                        fixed = all(
                            n > 1 or n == r >> (2 - k) & 1 for k, n in enumerate(instance.inputs) for r in (row, before)
                        )
                        if not fixed or table >> row & 1 == table >> before & 1:
                            continue
                        limits = [events[instance.inputs[pin]].get(row >> (2 - pin) & 1)]
                        for k in pins:
                            side = instance.inputs[k]
                            if (row ^ settled) >> (2 - k) & 1:
                                limits.append(events[side].get(value[side]))
                        if None in limits:
                            continue
                        time = min(limit for limit in limits if limit is not None) + delay(number, pin, row, output)
                        edge = table >> row & 1
                        found[edge] = max(found.get(edge, 0.0), time)
                if 1 - value[net] in found:
                    if value[net] in found:
                        found[1 - value[net]] = min(found[1 - value[net]], found[value[net]])
                    else:
                        del found[1 - value[net]]
                events[net] = found
        worst = max([worst, *(time for net in netlist.output_nets for time in events[net].values())])
    return worst


def check_path(found: TrueTiming, netlist: Netlist) -> None:
    """Asserts that the path runs from an input, instance by instance, to an output, each arc after the one before."""
    for before, after in pairwise(found.path):
        assert set(before.instance.outputs) & set(after.instance.inputs)
        assert after.arrival == pytest.approx(before.arrival + after.delay)
    assert set(netlist.input_nets) & set(found.path[0].instance.inputs)
    assert set(found.path[-1].instance.outputs) & set(netlist.output_nets)
    assert found.path[-1].arrival == found.delay


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_small_arrays_equal_the_definition_and_bound_every_transition(topology: str, cell: str) -> None:
    """3 x 3: all operands by the definition, all 4032 transitions in the arc-delay simulation; then by proof alone."""
    netlist = Design(format=None, width=3, topology=topology, placement=cell).netlist()
    found, expected = true_timing(netlist, NOMINAL), brute(netlist)
    assert found.exact
    assert found.delay == pytest.approx(expected)
    check_path(found, netlist)
    walked = np.array([pair for a in range(64) for b in range(a + 1, 64) for pair in (a, b)], dtype=np.uint64)
    operands = [walked >> np.uint64(3), walked & np.uint64(7)]
    settled = transitions(circuit_of(netlist, NOMINAL), operands).settled.max()
    assert settled <= found.delay * SLEWS
    assert found.simulated <= settled
    proved = true_timing(netlist, NOMINAL, exhaustive=0, tries=0, work=2_000_000)
    assert proved.delay <= expected + 1e-6
    assert expected <= proved.bound + RESOLUTION
    apart = found.structural.delay - expected
    assert proved.bound - expected <= 0.1 * apart + RESOLUTION, "the proofs exclude most of what is false"
    check_path(proved, netlist)


@pytest.mark.slow
def test_random_netlists_equal_the_definition() -> None:
    """Constants, repeated nets, cells of no library."""
    compared = 0
    for seed in range(30):
        netlist = random_netlist(seed)
        if len(netlist.input_nets) > 7:
            continue
        compared += 1
        found, expected = true_timing(netlist, NOMINAL), brute(netlist)
        assert found.delay == pytest.approx(expected), seed
        proved = true_timing(netlist, NOMINAL, exhaustive=0, tries=0, work=500_000)
        assert proved.delay - 1e-6 <= expected <= proved.bound + RESOLUTION, seed
    assert compared > 5


def skipping(length: int) -> Netlist:
    """Two slow branches in a row, of which the select lets operands take only one."""
    builder = NetlistBuilder("skip")
    (x,), (s,) = builder.input("x", 1), builder.input("s", 1)
    (other,) = builder.add(NOT, s)
    net = x
    for select in (s, other):
        slow = net
        for _ in range(length):
            (slow,) = builder.add(BUFFER, slow)
        (net,) = builder.add(MUX2, net, slow, select)
    builder.output("y", [net])
    return builder.build()


def test_a_false_path_is_left_out() -> None:
    """The longest path of the graph goes through both slow branches, which no operands can take together."""
    netlist = skipping(20)
    for exhaustive in (16, 0):
        found = true_timing(netlist, NOMINAL, exhaustive=exhaustive)
        assert found.structural.delay == netlist_timing(netlist, NOMINAL).delay
        assert found.exact or not exhaustive
        assert found.bound < 0.65 * found.structural.delay
        assert [step.instance.component for step in found.structural.path].count(BUFFER) == 40
        assert [step.instance.component for step in found.path].count(BUFFER) == 20
        assert found.delay < 0.65 * found.structural.delay


@pytest.mark.slow
def test_the_interval_of_a_large_design_holds_what_is_simulated() -> None:
    """24 x 24: ama4, which does not commute, and axfpm are decided exactly."""
    netlist = design("ama4_array").netlist()
    found = true_timing(netlist, NOMINAL)
    assert found.exact
    assert found.delay < found.structural.delay
    assert found.bound <= 1.005 * found.delay
    assert true_timing(design("axfpm").netlist(), NOMINAL).exact
    check_path(found, netlist)
    assert 0.9 * found.delay < found.simulated <= found.bound * SLEWS
    circuit = circuit_of(netlist, NOMINAL)
    walked = [np.array(pair, dtype=np.uint64) for pair in zip(found.before, found.operands, strict=True)]
    assert transitions(circuit, walked).settled[0] == pytest.approx(found.simulated)
    assert true_timing(netlist, NOMINAL) == found, "no randomness"


def test_a_small_budget_leaves_an_interval() -> None:
    netlist = design("ama3_array").netlist()
    found = true_timing(netlist, NOMINAL, tries=50, work=1)
    assert not found.exact
    assert found.delay < found.bound <= found.structural.delay * 1.001


def test_a_circuit_without_paths_takes_no_time() -> None:
    builder = NetlistBuilder("wire")
    x = builder.input("x", 2)
    builder.output("y", [*x, *builder.add(AND2, x[0], 0)])
    found = true_timing(builder.build(), NOMINAL)
    assert (found.delay, found.bound, found.path, found.exact) == (0.0, 0.0, (), True)


# ---- the solver


def packed(clauses: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    starts = np.cumsum([0, *map(len, clauses)])
    return np.array([literal for clause in clauses for literal in clause], dtype=np.int32), starts


def test_the_solver_agrees_with_all_assignments() -> None:
    rng = np.random.default_rng(7)
    answers = []
    for _ in range(300):
        variables = int(rng.integers(1, 9))
        clauses = [
            [
                int(2 * v + rng.integers(2))
                for v in rng.choice(variables, min(variables, int(rng.integers(1, 4))), False)
            ]
            for _ in range(int(rng.integers(1, 5 * variables + 2)))
        ]
        answer, model, _ = solve(*packed(clauses), np.zeros(variables, dtype=np.uint8), 10_000, 10**7)
        expected = any(
            all(any(bits[literal >> 1] != literal & 1 for literal in clause) for clause in clauses)
            for bits in product((0, 1), repeat=variables)
        )
        assert answer == (SATISFIABLE if expected else UNSATISFIABLE)
        if expected:
            assert all(any(model[literal >> 1] != literal & 1 for literal in clause) for clause in clauses)
        answers.append(answer)
    assert 50 < sum(answers) < 250


def test_the_solver_refutes_pigeonholes_and_keeps_to_its_budget() -> None:
    pigeons, holes = 7, 6
    clauses = [[2 * (p * holes + h) for h in range(holes)] for p in range(pigeons)]
    clauses += [
        [2 * (p * holes + h) + 1, 2 * (q * holes + h) + 1]
        for h in range(holes)
        for p in range(pigeons)
        for q in range(p)
    ]
    guess = np.zeros(pigeons * holes, dtype=np.uint8)
    assert solve(*packed(clauses), guess, 100_000, 10**8)[0] == UNSATISFIABLE
    assert solve(*packed(clauses), guess, 5, 10**8)[0] == UNDECIDED
    assert solve(*packed(clauses), guess, 100_000, 50)[0] == UNDECIDED


def test_prime_implicants_of_known_functions() -> None:
    """Majority: two that agree decide; exclusive or: only all three; at most eight of any function."""
    assert set(prime_implicants(0b11101000)) == {
        (*(2 if k == free else bit for k in range(3)), bit) for free in range(3) for bit in (0, 1)
    }
    assert set(prime_implicants(0b10010110)) == {
        (row >> 2, row >> 1 & 1, row & 1, 0b10010110 >> row & 1) for row in range(8)
    }
    assert max(len(prime_implicants(table)) for table in range(256)) == 8


@pytest.mark.parametrize("name", ["exact", "ama1", "axa3"])
def test_a_netlist_of_exact_adders_has_room_for_all_its_arcs(name: str) -> None:
    """An exact full adder has 36 arcs, more than any gate: a netlist of only these needs the most room."""
    builder = NetlistBuilder("adder")
    (a, b), carry = (builder.input(bus, 8) for bus in "ab"), 0
    sums = []
    for left, right in zip(a, b, strict=True):
        total, carry = builder.add(cell(name), left, right, carry or left)
        sums.append(total)
    builder.output("s", [*sums, carry])
    circuit = circuit_of(builder.build(), NOMINAL)
    timed = ArrivalModel(circuit, structure(circuit))._timed
    assert timed.first_arc[-1] == len(timed.arcs) == len(timed.delay)
    assert (timed.delay > 0).all()
    assert set(timed.arcs[:, 0]) <= {0, 1, 2}
    if name == "exact":
        assert np.diff(timed.first_arc).max() == 36
