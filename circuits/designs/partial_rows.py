"""The rows of bits that a tree compresses, for one pair of operands: Booth's recoded rows, signed and truncated ones.

The bits are read off the circuit: its gates are evaluated one by one, and the record of the reduction says which nets
stand in which column at the start, and from which row they come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from circuits.designs.design_record import Design, generator_policies
from circuits.multipliers import multiplier
from circuits.netlists.netlist import ONE, ZERO, Netlist
from circuits.netlists.reduction_record import Reduction

__all__ = ["PartialRow", "has_stages", "net_values", "partial_rows", "tree_reduction"]


@dataclass(frozen=True)
class PartialRow:
    """`label`: which row; `bits`: over all product columns, the most significant first, "." where it has no bit."""

    label: str
    bits: str


def has_stages(design: Design) -> bool:
    """Whether the design is a single tree, which compresses columns stage by stage."""
    return design.circuit is None and design.tile is None and design.architecture.reduces_columns


def tree_reduction(design: Design) -> tuple[Netlist, Reduction]:
    """(the netlist of a tree, drawn anew; how it reduces its columns); the nets are those of `design.netlist()`."""
    assert has_stages(design)
    reduction = Reduction()
    netlist = multiplier(
        design.topology,
        design.shape,
        lambda i, j: design.placement.at(i, j, None),
        reduction=reduction,
        **generator_policies(design),
    )
    return netlist, reduction


def partial_rows(design: Design, x: int, y: int) -> tuple[PartialRow, ...]:
    """The rows of a tree for the operands `x` and `y`, in two's complement if signed; none for other designs.

    A column may have two bits of one row, Booth's carry of a digit and a bit of its neighbour for instance; these take
    another line of the same label. Constant ones come last.
    """
    if not has_stages(design):
        return ()
    netlist, reduction = tree_reduction(design)
    width, columns = design.shape[0], reduction.stages[0]
    values = net_values(netlist, {"x": x, "y": y})
    recoding = design.architecture.recoding
    digits = [] if recoding is None else recoding(x, width, design.signed)
    lines: dict[tuple[int, str, int], dict[int, int]] = {}
    for k, column in enumerate(columns):
        for net, row in column:
            order, label = (1, "ones") if net == ONE else (0, f"row {row}")
            copy = next(n for n in range(len(column)) if k not in lines.get((order, label, n), {}))
            lines.setdefault((order, label, copy), {})[k] = values[net]
    rows = []
    for (order, label, _), bits in sorted(
        lines.items(), key=lambda item: (item[0][0], _number(item[0][1]), item[0][2])
    ):
        row = _number(label)
        digit = f", digit {digits[row // 2]:+d}" if digits and not order and row % 2 == 0 else ""
        text = "".join(str(bits[k]) if k in bits else "." for k in reversed(range(len(columns))))
        rows.append(PartialRow(f"{label}{digit}", text))
    return tuple(rows)


def net_values(netlist: Netlist, operands: Mapping[str, int]) -> dict[int, int]:
    """Net -> 0 or 1 for one set of operands, by bus; negative ones in two's complement."""
    values = {ZERO: 0, ONE: 1}
    for name, bus in netlist.inputs.items():
        values |= {net: operands[name] >> k & 1 for k, net in enumerate(bus)}
    for instance in netlist.instances:
        # The first input is the high digit of the row of a truth table over three.
        row = sum(values[net] << 2 - place for place, net in enumerate(instance.inputs))
        for net, table in zip(instance.outputs, instance.component.tables, strict=True):
            values[net] = table >> row & 1
    return values


def _number(label: str) -> int:
    return int(label.split()[1]) if label.startswith("row") else 0
