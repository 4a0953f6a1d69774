"""Schematics by level, for imported, evolved and any other circuits: gates in columns by their depth, wires between.

The level of a cell or gate is one more than the highest level among what drives it; inputs have level 0. So every wire
leads to the right. Within a level gates stand near the mean height of what drives them, which keeps wires short.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from circuits.designs.design_record import Design
from circuits.drawing.drawing_record import Box, Drawing, Lines, Text, legend_of
from circuits.errors import DesignError
from circuits.netlists.netlist import ONE, Instance, Netlist

__all__ = ["MOST_GATES", "level_drawing", "levels_of"]

MOST_GATES = 6000
"""A drawing of more cells and gates cannot be read."""
_PITCH, _WIDTH, _HEIGHT = 4.0, 1.7, 0.7
_NAMED = 800
"""Up to this many gates have their names in their boxes."""


def levels_of(netlist: Netlist) -> list[int]:
    """The level of every instance, in order."""
    level_of_net: dict[int, int] = {}
    levels = []
    for instance in netlist.instances:
        level = 1 + max((level_of_net.get(net, 0) for net in instance.inputs), default=0)
        level_of_net.update(dict.fromkeys(instance.outputs, level))
        levels.append(level)
    return levels


def level_drawing(design: Design, names: Iterable[str] = ()) -> Drawing:
    """The schematic of the design's circuit; `names` as in `cell_styles`. DesignError where it has too many gates."""
    netlist = design.netlist()
    if len(netlist.instances) > MOST_GATES:
        raise DesignError(
            f"a drawing by levels must have at most {MOST_GATES:,} cells and gates to be read, but {design.label} has "
            f"{len(netlist.instances):,}; export it and draw it with yosys (show)."
        )
    levels = levels_of(netlist)
    depth = max(levels, default=0)
    rows: list[list[Instance]] = [[] for _ in range(depth + 1)]
    for instance, level in zip(netlist.instances, levels, strict=True):
        rows[level].append(instance)
    inputs = [(f"{name}{k}", net) for name, bus in netlist.inputs.items() for k, net in enumerate(bus)]
    outputs = [(f"{name}{k}", net) for name, bus in netlist.outputs.items() for k, net in enumerate(bus)]
    height = float(max(len(inputs), len(outputs), *(len(row) for row in rows), 1))
    heights: dict[int, float] = dict(zip((net for _, net in inputs), _spread(len(inputs), height), strict=True))
    ends: dict[int, float] = {net: 1.4 for _, net in inputs}
    placed: list[tuple[Instance, float, float]] = []
    for level in range(1, depth + 1):
        members = rows[level]
        for instance, y in zip(
            members, _settled([_mean(instance.inputs, heights) for instance in members], height), strict=True
        ):
            x = level * _PITCH - 1.4
            placed.append((instance, x, y))
            heights.update(dict.fromkeys(instance.outputs, y))
            ends.update(dict.fromkeys(instance.outputs, x + _WIDTH))
    right = (depth + 1) * _PITCH - 1.4
    exits = _settled([heights.get(net, 0.0) for _, net in outputs], height)
    counts = Counter(instance.component.name for instance in netlist.instances)
    legend, style = legend_of(dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))), names)
    shapes: list[Box | Lines | Text] = [Lines(_wires(placed, heights, ends))]
    shapes += [Lines(_output_wires(outputs, exits, heights, ends, right), strong=True)]
    shapes += [Text(1.2, heights[net] + 0.2, name, 0.6, "end") for name, net in inputs]
    shapes += [Text(right + 0.2, y + 0.2, name, 0.6) for (name, _), y in zip(outputs, exits, strict=True)]
    for instance, x, y in placed:
        shapes.append(Box(x, y - _HEIGHT / 2, _WIDTH, _HEIGHT, style[instance.component.name], rounded=True))
    if len(placed) <= _NAMED:
        shapes += [Text(x + _WIDTH / 2, y + 0.14, i.component.name[:9], 0.4, "middle") for i, x, y in placed]
    shapes += [
        Text(level * _PITCH - 1.4 + _WIDTH / 2, -0.3, str(level), 0.6, "middle") for level in range(1, depth + 1)
    ]
    note = "A column is a level: one more than the highest level that drives it. Constant inputs are not drawn."
    shifted = [_below(shape, 1.0) for shape in shapes]
    return Drawing("schematic", right + 3.4, height + 1.5, legend, shifted, (note,))


def _spread(count: int, height: float) -> list[float]:
    return [(k + 0.5) * height / count for k in range(count)]


def _settled(wanted: Sequence[float], height: float) -> list[float]:
    """Heights near the wanted ones, at least one unit apart, within 0 .. `height`; in the order of `wanted`.

    From the top each takes its place or the next free one; from the bottom those that were pushed out come back.
    """
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    at = [0.0] * len(wanted)
    free = 0.5
    for k in order:
        at[k] = max(wanted[k], free)
        free = at[k] + 1
    limit = height - 0.5
    for k in reversed(order):
        at[k] = min(at[k], limit)
        limit = at[k] - 1
    return at


def _mean(nets: Sequence[int], heights: Mapping[int, float]) -> float:
    known = [heights[net] for net in nets if net in heights]
    return sum(known) / len(known) if known else 0.0


def _wires(
    placed: Sequence[tuple[Instance, float, float]], heights: Mapping[int, float], ends: Mapping[int, float]
) -> tuple[float, ...]:
    """A segment from each driver's right end to the input's place on the left end of the cell."""
    points: list[float] = []
    for instance, x, y in placed:
        for k, net in enumerate(instance.inputs):
            if net > ONE:
                pin = y + _HEIGHT * ((k + 0.5) / len(instance.inputs) - 0.5)
                points += (ends[net], heights[net], x, pin)
    return tuple(points)


def _output_wires(
    outputs: Sequence[tuple[str, int]],
    exits: Sequence[float],
    heights: Mapping[int, float],
    ends: Mapping[int, float],
    right: float,
) -> tuple[float, ...]:
    points: list[float] = []
    for (_, net), y in zip(outputs, exits, strict=True):
        if net > ONE:
            points += (ends[net], heights[net], right, y)
    return tuple(points)


def _below(shape: Box | Lines | Text, distance: float) -> Box | Lines | Text:
    """The shape, moved down."""
    if isinstance(shape, Lines):
        return Lines(tuple(v + distance * (k % 2) for k, v in enumerate(shape.points)), shape.strong)
    if isinstance(shape, Box):
        return Box(shape.x, shape.y + distance, shape.width, shape.height, shape.style, shape.rounded)
    return Text(shape.x, shape.y + distance, shape.text, shape.size, shape.anchor)
