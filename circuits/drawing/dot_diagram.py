"""Dot diagrams of trees, as Dadda drew them: the bits of every column stage by stage, and which cell takes which.

A stage is a band of dots, one for each bit, in columns with the most significant on the left. A frame holds the bits
that one cell takes; it gives a sum to its column and a carry to the next one on the left, which are dots of the band
below. The last band is the final adder: two rows of bits, and below them what adds each column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from circuits.designs.design_record import Design
from circuits.designs.partial_rows import has_stages, tree_reduction
from circuits.drawing.array_places import is_adder
from circuits.drawing.drawing_record import Box, Dots, Drawing, Lines, Text, legend_of
from circuits.errors import DesignError
from circuits.multipliers import FINAL_ADDERS
from circuits.netlists.netlist import ONE, Netlist
from circuits.netlists.reduction_record import Reduction

__all__ = ["dot_drawing"]

_HEADER = 1.6
_FINAL = "final adder"


def dot_drawing(design: Design, names: Iterable[str] = ()) -> Drawing:
    """The dot diagram; `names` as in `cell_styles`. Raises DesignError for a design that is no tree."""
    if not has_stages(design):
        raise DesignError(
            f"a drawing by stages needs a tree that compresses columns, but {design.label} is none; draw it by places "
            "or by levels."
        )
    netlist, reduction = tree_reduction(design)
    kinds = _names_of(netlist, reduction, design)
    counts = Counter(kinds.values())
    ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    legend, style = legend_of(ordered, names)
    columns = len(reduction.stages[0])
    shapes: list[Box | Dots | Lines | Text] = []
    y = 0.0
    for number, stage in enumerate(reduction.stages):
        last = number == len(reduction.stages) - 1
        height = max(map(len, stage), default=0)
        shapes += [
            Text(
                0.1, y + 0.9, f"{_FINAL}: {_adder(design)}" if last else f"stage {number + 1}: {height} bits high", 0.9
            ),
            Lines((0.0, y + 0.1, float(columns), y + 0.1)),
        ]
        y += _HEADER
        shapes += _frames(reduction, number, columns, y, kinds, style)
        for k, column in enumerate(stage):
            start = 0
            for is_one, group in groupby(net == ONE for net, _ in column):
                count = len(list(group))
                shapes.append(Dots(_centre(columns, k), y + 0.5 + start, count, open=is_one))
                start += count
        y += height
        if last:
            shapes += _final_cells(netlist, reduction, design, columns, y, kinds, style)
            y += 1.3
    shapes += [Text(_centre(columns, k), y + 0.7, str(k), 0.55, "middle") for k in range(columns)]
    gates = len(netlist.instances) - sum(is_adder(instance.component) for instance in netlist.instances)
    notes = (
        "A dot is a bit of its product column (numbered below), a frame a cell that takes these bits; rings are "
        "constant ones.",
        f"Not drawn: {gates} gates that form the partial products and compressors.",
    )
    return Drawing("dot diagram", columns, y + 1, legend, shapes, notes)


def _centre(columns: int, k: int) -> float:
    return columns - k - 0.5


def _names_of(netlist: Netlist, reduction: Reduction, design: Design) -> dict[int, str]:
    """Net of a sum -> name of the cell that gives it, for the cells of all stages and of the final adder."""
    cells = {instance.outputs[0]: instance.component for instance in netlist.instances}
    names = {step.sum: step.name or cells[step.sum].name for step in reduction.steps if step.name or step.sum in cells}
    if design.final_adder in FINAL_ADDERS:
        # A column of the product whose net an adder gives that no stage has; others are bits that pass.
        final = (net for net in netlist.outputs["product"] if net in cells and net not in names)
        names |= {net: cells[net].name for net in final if is_adder(cells[net])}
    return names


def _frames(
    reduction: Reduction, stage: int, columns: int, y: float, kinds: dict[int, str], style: dict[str, int]
) -> list[Box]:
    """The frames of one stage: cells take the bits of a column from the top."""
    taken: Counter[int] = Counter()
    frames = []
    for step in reduction.steps:
        if step.stage != stage:
            continue
        top = y + taken[step.column]
        taken[step.column] += step.count
        if step.sum in kinds:
            left = _centre(columns, step.column) - 0.4
            frames.append(Box(left, top + 0.1, 0.8, step.count - 0.2, style[kinds[step.sum]], rounded=True))
    return frames


def _final_cells(
    netlist: Netlist,
    reduction: Reduction,
    design: Design,
    columns: int,
    y: float,
    kinds: dict[int, str],
    style: dict[str, int],
) -> list[Box | Text]:
    """What adds each column: a square a cell, or one bar for an adder of another kind."""
    if design.final_adder not in FINAL_ADDERS:
        return [Text(columns / 2, y + 0.8, f"{design.final_adder}, over all columns", 0.8, "middle")]
    staged = {step.sum for step in reduction.steps}
    return [
        Box(_centre(columns, k) - 0.4, y + 0.2, 0.8, 0.8, style[kinds[net]])
        for k, net in enumerate(netlist.outputs["product"][:columns])
        if net in kinds and net not in staged
    ]


def _adder(design: Design) -> str:
    named = {"exact": "a ripple of exact cells", "cell": "a ripple of the cells of its places"}
    return named.get(design.final_adder, design.final_adder)
