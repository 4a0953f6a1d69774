"""Validates the cost model against transistor-level simulation of whole arrays in ngspice.

The stimulus is fixed and committed with ngspice's results in `cost_validation.json`. It consists of random operand
pairs, followed by the transition that settles last among all 65,280 (256 * 255) in the arc-delay simulation. Six 4 x 4
arrays were compared while the model was developed. Two 8 x 8 arrays, with random operands only, were held out until it
was finished. Twelve more, seven chosen and five drawn at random, came later and changed nothing (`unseen_arrays`).
`--models DIR` repeats the simulation (minutes to an hour).
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
from studies.own import unseen_arrays

TITLE = "cost model against ngspice: energy and worst delay of 4 x 4 and 8 x 8 arrays"
SOURCE = "our own study"
REFERENCE = Path(__file__).with_suffix(".json")
CELLS = ("exact", "ama1", "ama2", "ama3", "ama4", "ama5")
HELD_OUT = ("exact", "ama3")
"""Cells of the held-out 8 x 8 arrays."""
UNUSED = "not used in building the model"
LIMIT = 0.15
"""Largest accepted difference between model and ngspice, relative to ngspice."""
PERIOD = 1.5e-9
"""Time from one operand pair to the next in a 4 x 4 array, s."""
HELD_OUT_PERIOD = 2.5e-9
"""Time from one operand pair to the next in an 8 x 8 array, s."""
RANDOM, SEED, HELD_OUT_SEED = 64, 45, 46
"""Number of random transitions, and the seeds of their operands for 4 x 4 and for 8 x 8 arrays."""

Operands = list[NDArray[np.uint64]]
Stimuli = Mapping[str, Operands]


def array(cell: str, width: int = 4) -> Design:
    """Returns the ripple array that consists of one kind of cell."""
    return Design(format=None, width=width, placement=cell, name=f"{width}x{width} {cell}")


def stimulus(cell: str) -> Operands:
    """Returns operands for RANDOM random transitions, followed by the slowest transition according to the model."""
    stream = np.random.default_rng(SEED)
    x, y = (stream.integers(0, 16, RANDOM + 1, dtype=np.uint64) for _ in range(2))
    worst = slowest(cell)
    return [np.concatenate([x, [pair >> 4 for pair in worst]]), np.concatenate([y, [pair & 15 for pair in worst]])]


def held_out_stimulus() -> Operands:
    """Returns operands for RANDOM random transitions between uniform 8-bit operands."""
    stream = np.random.default_rng(HELD_OUT_SEED)
    x, y = (stream.integers(0, 256, RANDOM + 1, dtype=np.uint64) for _ in range(2))
    return [x, y]


def slowest(cell: str) -> NDArray[np.uint64]:
    """Returns the two operand pairs, encoded as 16 x + y, whose transition settles last."""
    # The walk a, b, a, b + 1, a, ... makes the transition between any two operand pairs once in either direction.
    visited = np.array([pair for a in range(256) for b in range(a + 1, 256) for pair in (a, b)], dtype=np.uint64)
    circuit = circuit_of(array(cell).netlist(), technology())
    settling_times = transitions(circuit, [visited >> np.uint64(4), visited & np.uint64(15)]).settled
    last = int(settling_times.argmax())
    return visited[last : last + 2]


def simulate(folder: Path, stimuli: Stimuli, held_out: Stimuli, unseen: Stimuli) -> dict[str, Any]:
    """Simulates every array in ngspice. Returns results and conditions in the format of REFERENCE."""
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
            "period_ns": {
                "4x4": PERIOD * 1e9,
                "8x8": HELD_OUT_PERIOD * 1e9,
                **{f"unseen {width}x{width}": period * 1e9 for width, period in unseen_arrays.PERIODS.items()},
            },
            "input_slew_ps": INPUT_SLEW,
            "output_load_fF": OUTPUT_LOAD,
            "stimulus": {
                "4x4": f"{RANDOM} random transitions (seed {SEED}), two more to the model's slowest pair",
                "8x8": f"{RANDOM} random transitions (seed {HELD_OUT_SEED})",
                "unseen": f"{unseen_arrays.TRANSITIONS} random transitions each (seed {unseen_arrays.SAMPLE_SEED}); "
                "5x5 ripple, exact: two more, the last a glitch",
            },
            "products": "all as the design's truth tables say",
        },
        "arrays": {cell: _simulated(array(cell), operands, models, PERIOD) for cell, operands in stimuli.items()},
        "held_out": {
            cell: _simulated(array(cell, 8), operands, models, HELD_OUT_PERIOD) for cell, operands in held_out.items()
        },
        "unseen": {
            name: _simulated(each, unseen[name], models, _period(each)) for name, each in unseen_arrays.arrays().items()
        },
    }


def _period(design: Design) -> float:
    return unseen_arrays.PERIODS[design.shape[0]]


def _simulated(design: Design, operands: Operands, models: Sequence[Path], period: float) -> dict[str, Any]:
    """Simulates one array in ngspice and returns its stimulus with the energy and delay of every transition."""
    from circuits.cost.characterize import spice_netlist

    values = [list(map(int, bus)) for bus in operands]
    spice_result = spice_netlist.simulate(
        design.netlist(), values, models, period=period, slew=INPUT_SLEW * 1e-12, load=OUTPUT_LOAD * 1e-15
    )
    expected = design.multiply_integers(*operands)
    assert [int(product) for product in expected] == spice_result.products, design.label
    return {
        "x": values[0],
        "y": values[1],
        "energy_fJ": [round(value * 1e15, 3) for value in spice_result.energy],
        "delay_ps": [round(value * 1e12, 2) for value in spice_result.delay],
    }


def run(options: StudyOptions) -> StudyResult:
    """Compares twenty arrays with the committed simulation, or with a new one if `options.models` is given.

    All levels are the same.
    """
    reference = json.loads(REFERENCE.read_text(encoding="utf-8"))
    if options.models is not None:
        stimuli, held_out, unseen_stimuli = (
            {
                cell: [np.array(vectors[bus], dtype=np.uint64) for bus in "xy"]
                for cell, vectors in reference[group].items()
            }
            for group in ("arrays", "held_out", "unseen")
        )
        reference = simulate(options.models, stimuli, held_out, unseen_stimuli)
    rows: list[Row] = []
    points: dict[str, tuple[NDArray[np.float64], ...]] = {}
    tool = reference["conditions"]["tool"]
    for cell in CELLS:
        compared, points[cell] = _compared(array(cell), reference["arrays"][cell], PERIOD, tool)
        rows += compared
    unused = []
    for cell in HELD_OUT:
        unused += _compared(array(cell, 8), reference["held_out"][cell], HELD_OUT_PERIOD, tool, UNUSED)[0]
    later, later_reason = _unseen(reference["unseen"], tool)
    failed = [f"{row.quantity} of {row.subject} ({row.remark})" for row in (*rows, *unused) if "beyond" in row.remark]
    largest, unseen = (
        max(abs(float(row.remark.split()[0])) for row in group if "arc-delay" in row.quantity)
        for group in (rows, unused)
    )
    reason = (
        f"arc-delay energy and worst delay are within {100 * LIMIT:.0f} % of {tool} in all six 4 x 4 arrays (at most "
        f"{largest:.1f} %), and within {unseen:.1f} % in two 8 x 8 arrays {UNUSED}; zero-delay energy lacks glitches, "
        "and the longest true path leaves open what comes before the operands."
        if not failed
        else f"not within {100 * LIMIT:.0f} %: {'; '.join(failed)}."
    )
    return StudyResult(
        [*rows, *unused, *later],
        "measured",
        f"{reason} {later_reason}",
        {"limit": LIMIT, "spice": reference["conditions"], "technology": technology().note},
        render(lambda: _figure(points, tool), salt="cost_validation", style=seaborn.axes_style("whitegrid")),
    )


def _unseen(recorded: Mapping[str, Mapping[str, Any]], tool: str) -> tuple[list[Row], str]:
    """Compares the arrays of `unseen_arrays`; returns their rows and what they say, outliers included."""
    rows: list[Row] = []
    apart: dict[str, list[float]] = {"energy": [], "worst delay": []}
    beyond: list[str] = []
    single: list[float] = []  # ps by which a transition settles later in the model
    for name, design in unseen_arrays.arrays().items():
        compared, (*_, spice_delay, model_delay) = _compared(design, recorded[name], _period(design), tool, UNUSED)
        rows += compared
        single += (model_delay - spice_delay).tolist()
        for row in compared:
            if "arc-delay" in row.quantity:
                percent = float(row.remark.split()[0])
                measure = row.quantity.partition(",")[0].removesuffix(" arc-delay model")
                if "beyond" in row.remark:
                    beyond.append(f"{measure} of {name} ({percent:+.1f} %)")
                else:
                    apart[measure].append(percent)
        if name == unseen_arrays.GLITCHING_ARRAY:
            (first, last), remark = unseen_arrays.GLITCHING, "edges of a glitch that hardly crosses half the swing"
            for by, delay in ((tool, spice_delay[-1]), ("glitching model", model_delay[-1])):
                rows.append(Row(name, f"delay from {first} to {last}, {by}", float(delay), unit="ps", remark=remark))
    ranges = " and ".join(f"{what} is {min(of):+.1f} to {max(of):+.1f} % off" for what, of in apart.items() if of)
    outliers = f"; beyond {100 * LIMIT:.0f} %: {', '.join(beyond)}" if beyond else ""
    return rows, (
        f"In {len(recorded)} more arrays {UNUSED}, {unseen_arrays.SAMPLE} of them drawn at random, {ranges}{outliers}. "
        f"A single transition may settle {min(single):+.0f} to {max(single):+.0f} ps off: every edge that crosses "
        "half the swing counts, and a glitch that hardly does in the one may not in the other."
    )


def _compared(
    design: Design, recorded: Mapping[str, Any], period: float, tool: str, remark: str = ""
) -> tuple[list[Row], tuple[NDArray[np.float64], ...]]:
    """Compares one array with its simulation.

    Returns the rows, and four arrays with one value per transition: energies by ngspice and by the model, then delays
    by ngspice and by the model. `remark` is appended to the remark of every row.
    """
    operands = [np.array(recorded[bus], dtype=np.uint64) for bus in "xy"]
    circuit = circuit_of(design.netlist(), technology())
    zero_delay = circuit_energy(circuit, operands)
    leakage = zero_delay.leakage * period * 1e6  # nW s -> fJ over one period, as in ngspice
    arc_delay, true_path = transitions(circuit, operands), circuit_true_timing(circuit)
    spice_energy, spice_delay = np.array(recorded["energy_fJ"]), np.array(recorded["delay_ps"])
    simulated, worst = float(spice_energy.mean()), float(spice_delay.max())
    proved = "longest true path" if true_path.exact else "longest true path found"
    quantities: list[tuple[str, str, float, float | None]] = [
        (f"energy, {tool}", "fJ", simulated, None),
        ("energy, arc-delay model", "fJ", float(arc_delay.energy.mean()) + leakage, simulated),
        ("energy, zero-delay model", "fJ", zero_delay.energy + leakage, simulated),
        (f"worst delay, {tool}", "ps", worst, None),
        ("worst delay, arc-delay model", "ps", float(arc_delay.settled.max()), worst),
    ]
    # Only the 4 x 4 stimuli include the slowest transition, so only they can be compared with path delays.
    path_reference = None if remark else worst
    quantities.append((proved, "ps", true_path.delay, path_reference))
    if not true_path.exact:
        quantities.append(("proved: no true path longer", "ps", true_path.bound, path_reference))
    quantities.append(("longest path of the graph", "ps", true_path.structural.delay, path_reference))
    rows = []
    for quantity, unit, measured, spice_value in quantities:
        remarks = [remark] if remark else []
        if remark and "path" in quantity:
            remarks = ["of all operands, not of the simulated ones"]
        if spice_value is not None:
            difference = measured / spice_value - 1
            beyond = f", beyond {100 * LIMIT:.0f} %" if "arc-delay" in quantity and abs(difference) > LIMIT else ""
            remarks.insert(0, f"{100 * difference:+.1f} %{beyond}")
        rows.append(Row(design.label, quantity, measured, None, None, unit, "; ".join(remarks)))
    return rows, (spice_energy, arc_delay.energy + leakage, spice_delay, arc_delay.settled)


def _figure(points: Mapping[str, tuple[NDArray[np.float64], ...]], tool: str) -> Figure:
    """Draws the model's energy and delay against the simulator's, with one point per transition."""
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    axes = figure.subplots(1, 2)
    markers = dict(zip(CELLS, "osD^vP", strict=True))
    for axis, (first, second), unit, title in (
        (axes[0], (0, 1), "fJ", "energy of a transition"),
        (axes[1], (2, 3), "ps", "settling time of a transition"),
    ):
        top = 1.05 * max(max(float(values[first].max()), float(values[second].max())) for values in points.values())
        axis.fill_between(
            [0, top], [0, top * (1 - LIMIT)], [0, top * (1 + LIMIT)], color="0.9", label=f"within {LIMIT:.0%}"
        )
        axis.plot([0, top], [0, top], color="0.5", linewidth=0.8)
        for cell, values in points.items():
            axis.plot(
                values[first], values[second], markers[cell], markersize=4, alpha=0.7, label=cell, linestyle="none"
            )
        axis.set(xlim=(0, top), ylim=(0, top), xlabel=f"{tool} [{unit}]", ylabel=f"arc-delay model [{unit}]")
        axis.set_title(f"4 x 4 arrays: {title}", fontsize=10)
        axis.set_aspect("equal")
        axis.legend(fontsize=8)
    return figure
