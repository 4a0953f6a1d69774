"""Arrays that the cost model never saw while it was built, and the operands on which study cost_validation tries them.

Seven were chosen to differ in topology, cells and ports (UNSEEN), and a sample was drawn at random (`sampled`), so that
nobody picked the arrays that agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from circuits import CELLS, Design
from circuits.multipliers import FINAL_ADDERS, PORTS

TRANSITIONS = 20
"""Number of random transitions of each array."""
SAMPLE, SAMPLE_SEED = 5, 47
"""Number of random arrays, and the seed of their draw."""
GLITCHING = ((30, 12), (31, 22))
"""Operand pairs of the exact 5 x 5 ripple array on which the model was found to be far too late, 449 ps for 278: edges
of glitches that hardly cross half the swing. The transition between them follows the random ones of that array."""
GLITCHING_ARRAY = "5x5 ripple, exact"
PERIODS = {4: 1.5e-9, 5: 2e-9}
"""Width -> time from one operand pair to the next, s."""
_TOPOLOGIES = ("ripple_array", "carry_save_array", "wallace", "dadda", "booth")


def _integers(width: int, **fields: object) -> Design:
    return Design(format=None, width=width, **fields)  # type: ignore[arg-type]


UNSEEN: Mapping[str, Design] = {
    "4x4 carry-save, ama1, ama3 and exact columns, cells in the final adder": _integers(
        4,
        topology="carry_save_array",
        placement={"columns": ["ama1"] * 2 + ["ama3"] * 2 + ["exact"] * 4},
        final_adder="cell",
    ),
    "4x4 wallace, exact": _integers(4, topology="wallace"),
    "4x4 booth, exact": _integers(4, topology="booth"),
    "5x5 ripple, ama5": _integers(5, topology="ripple_array", placement="ama5"),
    GLITCHING_ARRAY: _integers(5, topology="ripple_array"),
    "4x4 carry-save, ama4, ports scp, exact half adders": _integers(
        4, topology="carry_save_array", placement="ama4", ports="scp", half_adders="exact"
    ),
    "4x4 dadda, ama2 and axa2 columns": _integers(
        4, topology="dadda", placement={"columns": ["ama2"] * 4 + ["axa2"] * 4}
    ),
}
"""Label -> array."""


def sampled() -> dict[str, Design]:
    """Draws SAMPLE 4 x 4 arrays: topology, a cell of the library for each column, ports and policies, all uniformly."""
    stream = np.random.default_rng(SAMPLE_SEED)
    designs = {}
    for number in range(SAMPLE):
        cells = [str(name) for name in stream.choice(list(CELLS), 8)]
        design = _integers(
            4,
            topology=str(stream.choice(_TOPOLOGIES)),
            placement={"columns": cells},
            ports=str(stream.choice(list(PORTS))),
            half_adders=str(stream.choice(["cell", "exact"])),
        )
        if design.has_final_adder:
            design = _integers(
                4,
                topology=design.topology,
                placement=design.placement,
                ports=design.ports,
                half_adders=design.half_adders,
                final_adder=str(stream.choice(FINAL_ADDERS)),
            )
        designs[f"4x4 random {number + 1}: {design.topology}, ports {design.ports}"] = design
    return designs


def arrays() -> dict[str, Design]:
    """Returns all arrays by name, which is also their label, the chosen ones first."""
    return {name: replace(design, name=name) for name, design in {**UNSEEN, **sampled()}.items()}


def operands_of(name: str, design: Design) -> list[NDArray[np.uint64]]:
    """Returns the operands of an array, the same whatever the model says about them."""
    width = design.shape[0]
    stream = np.random.default_rng([SAMPLE_SEED, list(arrays()).index(name)])
    x, y = (stream.integers(0, 1 << width, TRANSITIONS + 1, dtype=np.uint64) for _ in range(2))
    if name == GLITCHING_ARRAY:
        extra = np.array(GLITCHING, dtype=np.uint64)
        x, y = np.concatenate([x, extra[:, 0]]), np.concatenate([y, extra[:, 1]])
    return [x, y]
