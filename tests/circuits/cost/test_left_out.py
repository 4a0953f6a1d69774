"""What the cost model leaves out, drivers and wires: checked against a separate count, and printed by `show`."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from circuits import Design, DesignError, cost_report, design, technology
from circuits.commands import main
from circuits.cost import circuit_energy, circuit_of
from circuits.cost.circuit import OUTPUT_LOAD
from circuits.cost.cost_model import random_operands
from circuits.cost.left_out import driver_energy, left_out, with_wires
from circuits.netlists.netlist import ONE, ZERO

AMA1 = Design(topology="carry_save_array", format=None, width=4, placement="ama1", name="ama1_4")
"""A design that does not commute and has constants at its edges."""
VOLTAGE = 1.0


def test_drivers_charge_what_the_inputs_drive() -> None:
    """Net by net: the capacitance of every pin that reads it times its toggles, counted operand after operand."""
    netlist = AMA1.netlist()
    circuit = circuit_of(netlist, technology())
    x, y = random_operands((4, 4), 200, 3)
    expected = 0.0
    for values, bus in zip((x.tolist(), y.tolist()), netlist.inputs.values(), strict=True):
        for place, net in enumerate(bus):
            capacitance = sum(
                float(technology().cost_of(instance.component).capacitance[pin])
                for instance in netlist.instances
                for pin, read in enumerate(instance.inputs)
                if read == net
            )
            bits = [value >> place & 1 for value in values]
            rises = sum(after > before for before, after in pairwise(bits))
            falls = sum(after < before for before, after in pairwise(bits))
            expected += capacitance * VOLTAGE**2 * (rises + falls) / 2
    assert driver_energy(circuit, (x, y)) == pytest.approx(expected / 199)


def test_a_wire_reaches_every_sink() -> None:
    netlist = AMA1.netlist()
    circuit = circuit_of(netlist, technology())
    wired = with_wires(circuit, 2.5)
    for net in range(circuit.arrays.nets):
        sinks = sum(instance.inputs.count(net) for instance in netlist.instances) + (net in netlist.output_nets)
        added = 0.0 if net in (ZERO, ONE) else 2.5 * sinks
        assert wired.loads[net] == pytest.approx(circuit.loads[net] + added)
    assert min(wired.loads[list(netlist.output_nets)]) >= OUTPUT_LOAD + 2.5
    assert with_wires(circuit, 0.0).loads.tolist() == circuit.loads.tolist()


@pytest.mark.parametrize("glitches", ["none", "arc_delay"])
def test_without_drivers_and_wires_the_numbers_are_those_of_the_cost_report(glitches: str) -> None:
    added = left_out(AMA1, samples=100, seed=5, glitches=glitches)
    report = cost_report(AMA1, samples=100, seed=5, glitches=glitches)
    assert added.design.energy == report.drawn.energy
    assert added.design.delay == added.design.wired_delay == report.drawn.delay
    assert added.exact.energy == report.baselines["exact"].drawn.energy
    assert added.design.wired == added.design.driven
    assert added.ratio("energy") == report.ratio("energy")
    more = left_out(AMA1, wire=1.0, samples=100, seed=5, glitches=glitches)
    assert more.design.driven == added.design.driven > added.design.energy
    assert more.design.wired > more.design.driven
    assert more.design.wired_delay > more.design.delay
    circuit = with_wires(circuit_of(AMA1.netlist(), technology()), 1.0)
    operands = random_operands((4, 4), 100, 5)
    switching = circuit_energy(circuit, operands, glitches=glitches)
    leakage = switching.leakage * more.design.wired_delay * 1e-6
    assert more.design.wired == pytest.approx(switching.energy + leakage + driver_energy(circuit, operands))


def test_axfpm_over_exact_is_the_measured_sensitivity() -> None:
    """FACTS 8: .072 with glitches, .087 with drivers, .118 with 1 fF a sink; without glitches, with leakage, .254."""
    added = left_out(design("axfpm"), wire=1.0, samples=257, glitches="arc_delay")
    assert added.ratio("energy") == pytest.approx(0.072, abs=0.001)
    assert added.ratio("driven") == pytest.approx(0.087, abs=0.001)
    assert added.ratio("wired") == pytest.approx(0.118, abs=0.003)
    assert left_out(design("axfpm")).ratio("energy") == pytest.approx(0.254, abs=0.002)


def test_a_trace_and_a_whole_multiplier_can_be_measured() -> None:
    still = (np.full(4, 3), np.full(4, 5))
    assert left_out(AMA1, operands=still).design.driven == pytest.approx(cost_report(AMA1, operands=still).drawn.energy)
    whole = left_out(design("bfloat16"), samples=20, whole=True)
    assert whole.design.energy == cost_report(design("bfloat16"), samples=20, whole=True).drawn.energy


@pytest.mark.parametrize("wire", [-1.0, 1001.0, float("nan"), float("inf")])
def test_wires_out_of_range_are_refused(wire: float) -> None:
    with pytest.raises(DesignError, match=r"^0 <= wire <= 1000 must hold \(fF a sink\), but got "):
        left_out(AMA1, wire=wire)


def test_show_prints_what_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--samples", "2000", "--cost-samples", "50"]
    assert main(["show", "axfpm", "heap", *few, "--wire-fF", "1"]) == 0
    out = capsys.readouterr().out
    below = out.split("left out, as drawn")[1]
    for text in ("energy with the operands' drivers, fJ", "energy with drivers and 1 fF of wire a sink, fJ", "/ exact"):
        assert text in below
    assert main(["show", "axfpm", *few, "--format", "json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["designs"]
    assert shown["left_out"] == left_out(design("axfpm"), samples=50).to_dict()
    assert set(shown["left_out"]) == {"wire_fF", "view", "energy with the operands' drivers"}
    assert main(["show", "axfpm", *few, "--wire-fF", "1", "--format", "csv"]) == 0
    assert "left out of cost drawn,delay with 1 fF of wire a sink / exact" in capsys.readouterr().out
    for text in ("-1", "x", "nan", "2000"):
        with pytest.raises(SystemExit) as stop:
            main(["show", "axfpm", "--wire-fF", text])
        assert stop.value.code == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        assert f"it must be a number from 0 to 1000, but got '{text}'" in message
