"""Does the cost model deserve belief? Whole 4 x 4 arrays at transistor level in ngspice beside the model.

The stimulus is fixed and committed with ngspice's results in `cost_validation.json`: random operand pairs, then the
pair of operands that takes longest of all 65,280 transitions in the arc-delay simulation. `--models DIR` simulates it
again.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits import Design
from circuits.technology import circuit, circuit_energy, circuit_timing, technology, transitions
from circuits.technology.circuit import INPUT_SLEW, OUTPUT_LOAD
from studies.study import Row, StudyOptions, StudyResult

TITLE = "cost model against ngspice: energy and worst delay of 4 x 4 arrays"
SOURCE = "our own study"
REFERENCE = Path(__file__).with_suffix(".json")
CELLS = ("exact", "ama1", "ama2", "ama3", "ama4", "ama5")
LIMIT = 0.15
"""How far model and ngspice may differ, relative to ngspice."""
PERIOD = 1.5e-9
"""From one operand pair to the next, s."""
RANDOM, SEED = 64, 45
"""Random transitions, and the seed of their operands."""

Operands = list[NDArray[np.uint64]]


def array(cell: str) -> Design:
    """The 4 x 4 ripple array of a cell."""
    return Design(format=None, width=4, placement=cell, name=f"4x4 {cell}")


def stimulus(cell: str) -> Operands:
    """RANDOM transitions between uniform operands, then the model's slowest transition of all."""
    stream = np.random.default_rng(SEED)
    x, y = (stream.integers(0, 16, RANDOM + 1, dtype=np.uint64) for _ in range(2))
    worst = slowest(cell)
    return [np.concatenate([x, [pair >> 4 for pair in worst]]), np.concatenate([y, [pair & 15 for pair in worst]])]


def slowest(cell: str) -> NDArray[np.uint64]:
    """The two operand pairs, x 16 + y each, whose transition settles last."""
    # a, b, a, b + 1, a, ...: every ordered pair once.
    walked = np.array([pair for a in range(256) for b in range(a + 1, 256) for pair in (a, b)], dtype=np.uint64)
    made = circuit(array(cell).netlist(), technology())
    settled = transitions(made, [walked >> np.uint64(4), walked & np.uint64(15)]).settled
    at = int(settled.argmax())
    return walked[at : at + 2]


def simulate(folder: Path, stimuli: dict[str, Operands]) -> dict[str, Any]:
    """ngspice's results for each cell's stimulus, with their conditions: the content of REFERENCE."""
    from circuits.technology import spice, spice_netlist

    models = spice.model_files(folder, "nom")
    results = {}
    for cell, operands in stimuli.items():
        values = [list(map(int, bus)) for bus in operands]
        found = spice_netlist.simulate(
            array(cell).netlist(), values, models, period=PERIOD, slew=INPUT_SLEW * 1e-12, load=OUTPUT_LOAD * 1e-15
        )
        expected = array(cell).multiply_integers(*operands)
        assert [int(product) for product in expected] == found.products, cell
        results[cell] = {
            "x": values[0],
            "y": values[1],
            "energy_fJ": [round(value * 1e15, 3) for value in found.energy],
            "delay_ps": [round(value * 1e12, 2) for value in found.delay],
        }
    return {
        "conditions": {
            "made_by": "python -m studies run cost_validation --models DIR",
            "tool": spice.version(),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "models": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in models},
            "voltage_V": spice.VOLTAGE,
            "temperature_C": spice.TEMPERATURE,
            "period_ns": PERIOD * 1e9,
            "input_slew_ps": INPUT_SLEW,
            "output_load_fF": OUTPUT_LOAD,
            "stimulus": f"{RANDOM} random transitions (seed {SEED}), two more to the model's slowest pair",
            "products": "all as the design's truth tables say",
        },
        "arrays": results,
    }


def run(options: StudyOptions) -> StudyResult:
    """All levels alike: six arrays against the committed simulation, or a new one with `options.models`."""
    reference = json.loads(REFERENCE.read_text(encoding="utf-8"))
    if options.models is not None:
        stimuli = {
            cell: [np.array(entry[bus], dtype=np.uint64) for bus in "xy"] for cell, entry in reference["arrays"].items()
        }
        reference = simulate(options.models, stimuli)
    rows = []
    points: dict[str, tuple[NDArray[np.float64], ...]] = {}
    failed = []
    tool = reference["conditions"]["tool"]
    for cell in CELLS:
        entry = reference["arrays"][cell]
        operands = [np.array(entry[bus], dtype=np.uint64) for bus in "xy"]
        made = circuit(array(cell).netlist(), technology())
        leaked = circuit_energy(made, operands).leakage * PERIOD * 1e6  # nW s -> fJ over one period, as in ngspice
        found = transitions(made, operands)
        spice_energy, spice_delay = np.array(entry["energy_fJ"]), np.array(entry["delay_ps"])
        points[cell] = spice_energy, found.energy + leaked, spice_delay, found.settled
        simulated, worst = float(spice_energy.mean()), float(spice_delay.max())
        for quantity, unit, measured, beside, bound in (
            (f"energy, {tool}", "fJ", simulated, None, False),
            ("energy, arc-delay model", "fJ", float(found.energy.mean()) + leaked, simulated, True),
            ("energy, zero-delay model", "fJ", circuit_energy(made, operands).energy + leaked, simulated, False),
            (f"worst delay, {tool}", "ps", worst, None, False),
            ("worst delay, arc-delay model", "ps", float(found.settled.max()), worst, True),
            ("longest path (a bound)", "ps", circuit_timing(made).delay, worst, False),
        ):
            remark = "" if beside is None else f"{100 * (measured / beside - 1):+.1f} %"
            if bound and beside is not None and abs(measured / beside - 1) > LIMIT:
                failed.append(f"{quantity} of {cell} ({remark})")
                remark += f", beyond {100 * LIMIT:.0f} %"
            rows.append(Row(f"4x4 {cell}", quantity, measured, None, None, unit, remark))
    largest = max(abs(float(row.remark.split()[0])) for row in rows if "arc-delay" in row.quantity)
    reason = (
        f"arc-delay energy and worst delay are within {100 * LIMIT:.0f} % of {tool} in all six arrays (at most "
        f"{largest:.1f} %); zero-delay energy lacks glitches, and the longest path counts paths that no operands take."
        if not failed
        else f"not within {100 * LIMIT:.0f} %: {'; '.join(failed)}."
    )
    return StudyResult(
        "cost_validation",
        TITLE,
        SOURCE,
        rows,
        "measured",
        reason,
        {"limit": LIMIT, "spice": reference["conditions"], "technology": technology().note},
        {"png": _plot(points, tool, "png"), "svg": _plot(points, tool, "svg")},
    )


def _plot(points: Mapping[str, tuple[NDArray[np.float64], ...]], tool: str, kind: str) -> bytes:
    """Model against simulator, a point a transition."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "cost_validation", "svg.fonttype": "none"}):
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
                axis.plot(
                    entry[first], entry[second], markers[cell], markersize=4, alpha=0.7, label=cell, linestyle="none"
                )
            axis.set(xlim=(0, top), ylim=(0, top), xlabel=f"{tool} [{unit}]", ylabel=f"arc-delay model [{unit}]")
            axis.set_title(f"4 x 4 arrays: {title}", fontsize=10)
            axis.set_aspect("equal")
            axis.legend(fontsize=8)
        stream = io.BytesIO()
        figure.savefig(stream, format=kind, dpi=120, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return stream.getvalue()
