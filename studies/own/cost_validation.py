"""Does the cost model deserve belief? Whole arrays at transistor level in ngspice beside the model.

The stimulus is fixed and committed with ngspice's results in `cost_validation.json`: random operand pairs, then the
pair of operands that takes longest of all 65,280 transitions in the arc-delay simulation. The model was made while six
4 x 4 arrays stood beside it; two 8 x 8 arrays, on random operands alone, were not looked at until it was done.
`--models DIR` simulates them again (minutes to an hour).
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import seaborn
from matplotlib.figure import Figure
from numpy.typing import NDArray

from circuits import Design
from circuits.cost import circuit_energy, circuit_of, circuit_true_timing, technology, transitions
from circuits.cost.circuit import INPUT_SLEW, OUTPUT_LOAD
from circuits.drawing.figure_files import render
from studies.frame.study import Row, StudyOptions, StudyResult

TITLE = "cost model against ngspice: energy and worst delay of 4 x 4 and 8 x 8 arrays"
SOURCE = "our own study"
REFERENCE = Path(__file__).with_suffix(".json")
CELLS = ("exact", "ama1", "ama2", "ama3", "ama4", "ama5")
HELD_OUT = ("exact", "ama3")
"""Cells of the 8 x 8 arrays."""
UNUSED = "not used in building the model"
LIMIT = 0.15
"""How far model and ngspice may differ, relative to ngspice."""
PERIOD = 1.5e-9
"""From one operand pair to the next in a 4 x 4 array, s."""
HELD_OUT_PERIOD = 2.5e-9
"""The same in an 8 x 8 array."""
RANDOM, SEED, HELD_OUT_SEED = 64, 45, 46
"""Random transitions, and the seed of their operands: 4 x 4, 8 x 8."""

Operands = list[NDArray[np.uint64]]


def array(cell: str, width: int = 4) -> Design:
    """The ripple array of a cell."""
    return Design(format=None, width=width, placement=cell, name=f"{width}x{width} {cell}")


def stimulus(cell: str) -> Operands:
    """RANDOM transitions between uniform operands, then the model's slowest transition of all."""
    stream = np.random.default_rng(SEED)
    x, y = (stream.integers(0, 16, RANDOM + 1, dtype=np.uint64) for _ in range(2))
    worst = slowest(cell)
    return [np.concatenate([x, [pair >> 4 for pair in worst]]), np.concatenate([y, [pair & 15 for pair in worst]])]


def held_out_stimulus() -> Operands:
    """RANDOM transitions between uniform operands of 8 bits."""
    stream = np.random.default_rng(HELD_OUT_SEED)
    x, y = (stream.integers(0, 256, RANDOM + 1, dtype=np.uint64) for _ in range(2))
    return [x, y]


def slowest(cell: str) -> NDArray[np.uint64]:
    """The two operand pairs, x 16 + y each, whose transition settles last."""
    # a, b, a, b + 1, a, ...: every ordered pair once.
    walked = np.array([pair for a in range(256) for b in range(a + 1, 256) for pair in (a, b)], dtype=np.uint64)
    made = circuit_of(array(cell).netlist(), technology())
    settled = transitions(made, [walked >> np.uint64(4), walked & np.uint64(15)]).settled
    at = int(settled.argmax())
    return walked[at : at + 2]


def simulate(folder: Path, stimuli: dict[str, Operands], held_out: dict[str, Operands]) -> dict[str, Any]:
    """ngspice's results for each cell's stimulus, with their conditions: the content of REFERENCE."""
    from circuits.cost.characterize import spice

    models = spice.model_files(folder, "nom")
    return {
        "conditions": {
            "made_by": "python -m studies run cost_validation --models DIR",
            "tool": spice.version(),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "models": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in models},
            "voltage_V": spice.VOLTAGE,
            "temperature_C": spice.TEMPERATURE,
            "period_ns": {"4x4": PERIOD * 1e9, "8x8": HELD_OUT_PERIOD * 1e9},
            "input_slew_ps": INPUT_SLEW,
            "output_load_fF": OUTPUT_LOAD,
            "stimulus": {
                "4x4": f"{RANDOM} random transitions (seed {SEED}), two more to the model's slowest pair",
                "8x8": f"{RANDOM} random transitions (seed {HELD_OUT_SEED})",
            },
            "products": "all as the design's truth tables say",
        },
        "arrays": {cell: _simulated(array(cell), operands, models, PERIOD) for cell, operands in stimuli.items()},
        "held_out": {
            cell: _simulated(array(cell, 8), operands, models, HELD_OUT_PERIOD) for cell, operands in held_out.items()
        },
    }


def _simulated(design: Design, operands: Operands, models: Sequence[Path], period: float) -> dict[str, Any]:
    from circuits.cost.characterize import spice_netlist

    values = [list(map(int, bus)) for bus in operands]
    found = spice_netlist.simulate(
        design.netlist(), values, models, period=period, slew=INPUT_SLEW * 1e-12, load=OUTPUT_LOAD * 1e-15
    )
    expected = design.multiply_integers(*operands)
    assert [int(product) for product in expected] == found.products, design.label
    return {
        "x": values[0],
        "y": values[1],
        "energy_fJ": [round(value * 1e15, 3) for value in found.energy],
        "delay_ps": [round(value * 1e12, 2) for value in found.delay],
    }


def run(options: StudyOptions) -> StudyResult:
    """All levels alike: eight arrays against the committed simulation, or a new one with `options.models`."""
    reference = json.loads(REFERENCE.read_text(encoding="utf-8"))
    if options.models is not None:
        stimuli, held_out = (
            {cell: [np.array(entry[bus], dtype=np.uint64) for bus in "xy"] for cell, entry in reference[part].items()}
            for part in ("arrays", "held_out")
        )
        reference = simulate(options.models, stimuli, held_out)
    rows: list[Row] = []
    points: dict[str, tuple[NDArray[np.float64], ...]] = {}
    tool = reference["conditions"]["tool"]
    for cell in CELLS:
        found, points[cell] = _compared(array(cell), reference["arrays"][cell], PERIOD, tool)
        rows += found
    unused = []
    for cell in HELD_OUT:
        unused += _compared(array(cell, 8), reference["held_out"][cell], HELD_OUT_PERIOD, tool, UNUSED)[0]
    failed = [f"{row.quantity} of {row.subject} ({row.remark})" for row in (*rows, *unused) if "beyond" in row.remark]
    largest, apart = (
        max(abs(float(row.remark.split()[0])) for row in part if "arc-delay" in row.quantity) for part in (rows, unused)
    )
    reason = (
        f"arc-delay energy and worst delay are within {100 * LIMIT:.0f} % of {tool} in all six 4 x 4 arrays (at most "
        f"{largest:.1f} %), and within {apart:.1f} % in two 8 x 8 arrays {UNUSED}; zero-delay energy lacks glitches, "
        "and the longest true path leaves open what comes before the operands."
        if not failed
        else f"not within {100 * LIMIT:.0f} %: {'; '.join(failed)}."
    )
    return StudyResult(
        [*rows, *unused],
        "measured",
        reason,
        {"limit": LIMIT, "spice": reference["conditions"], "technology": technology().note},
        render(lambda: _figure(points, tool), salt="cost_validation", style=seaborn.axes_style("whitegrid")),
    )


def _compared(
    design: Design, entry: Mapping[str, Any], period: float, tool: str, remark: str = ""
) -> tuple[list[Row], tuple[NDArray[np.float64], ...]]:
    """(rows, ngspice's and the model's energies and delays) of one array; `remark` goes to the end of each row's."""
    operands = [np.array(entry[bus], dtype=np.uint64) for bus in "xy"]
    made = circuit_of(design.netlist(), technology())
    settled = circuit_energy(made, operands)
    leaked = settled.leakage * period * 1e6  # nW s -> fJ over one period, as in ngspice
    found, longest = transitions(made, operands), circuit_true_timing(made)
    spice_energy, spice_delay = np.array(entry["energy_fJ"]), np.array(entry["delay_ps"])
    simulated, worst = float(spice_energy.mean()), float(spice_delay.max())
    proved = "longest true path" if longest.exact else "longest true path found"
    quantities: list[tuple[str, str, float, float | None]] = [
        (f"energy, {tool}", "fJ", simulated, None),
        ("energy, arc-delay model", "fJ", float(found.energy.mean()) + leaked, simulated),
        ("energy, zero-delay model", "fJ", settled.energy + leaked, simulated),
        (f"worst delay, {tool}", "ps", worst, None),
        ("worst delay, arc-delay model", "ps", float(found.settled.max()), worst),
    ]
    # Only the 4 x 4 stimuli end with the pair that takes longest.
    beside = None if remark else worst
    quantities.append((proved, "ps", longest.delay, beside))
    if not longest.exact:
        quantities.append(("proved: no true path longer", "ps", longest.bound, beside))
    quantities.append(("longest path of the graph", "ps", longest.structural.delay, beside))
    rows = []
    for quantity, unit, measured, reference in quantities:
        parts = [remark] if remark else []
        if remark and "path" in quantity:
            parts = ["of all operands, not of the simulated ones"]
        if reference is not None:
            difference = measured / reference - 1
            beyond = f", beyond {100 * LIMIT:.0f} %" if "arc-delay" in quantity and abs(difference) > LIMIT else ""
            parts.insert(0, f"{100 * difference:+.1f} %{beyond}")
        rows.append(Row(design.label, quantity, measured, None, None, unit, "; ".join(parts)))
    return rows, (spice_energy, found.energy + leaked, spice_delay, found.settled)


def _figure(points: Mapping[str, tuple[NDArray[np.float64], ...]], tool: str) -> Figure:
    """Model against simulator, a point a transition."""
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    axes = figure.subplots(1, 2)
    markers = dict(zip(CELLS, "osD^vP", strict=True))
    for axis, (first, second), unit, title in (
        (axes[0], (0, 1), "fJ", "energy of a transition"),
        (axes[1], (2, 3), "ps", "settling time of a transition"),
    ):
        top = 1.05 * max(max(float(entry[first].max()), float(entry[second].max())) for entry in points.values())
        axis.fill_between(
            [0, top], [0, top * (1 - LIMIT)], [0, top * (1 + LIMIT)], color="0.9", label=f"within {LIMIT:.0%}"
        )
        axis.plot([0, top], [0, top], color="0.5", linewidth=0.8)
        for cell, entry in points.items():
            axis.plot(entry[first], entry[second], markers[cell], markersize=4, alpha=0.7, label=cell, linestyle="none")
        axis.set(xlim=(0, top), ylim=(0, top), xlabel=f"{tool} [{unit}]", ylabel=f"arc-delay model [{unit}]")
        axis.set_title(f"4 x 4 arrays: {title}", fontsize=10)
        axis.set_aspect("equal")
        axis.legend(fontsize=8)
    return figure
