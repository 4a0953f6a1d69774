"""Tree multiplier of 4:2 compressors beside full adders, a compressor for every product column.

As Momeni, Han, Montuschi, Lombardi (IEEE Trans. Computers 64(4), 2015) use it: Dadda's principle, as few cells as
needed, with the heights 2, 4, 8, 16, ... that a row of compressors can halve. In every stage a column, carries into it
counted, is lowered to the next of these heights:

- where it is three bits or more too high and has four bits left, by a compressor (4 bits -> sum, carry),
- else by two bits too many, by a full adder; by one, by a half-adder position.

Compressors with a carry chain hand Cout to the Cin of a compressor of the next column in the same stage, the first to
the first; what no compressor takes becomes a bit of that column. A chain begins with Cin = 0. Bits are taken in the
order of `columns`; an output that is constant 0, since inputs are, is none. Columns without a compressor may need
a stage more.
"""

from __future__ import annotations

from circuits.multipliers import columns
from circuits.multipliers.array_builder import Frame
from circuits.multipliers.columns import Bit, ordered
from circuits.multipliers.compressor_gates import draw
from circuits.multipliers.compressor_option import CompressorColumns, CompressorOption
from circuits.multipliers.topology import COLUMN_PORTS, Topology
from circuits.netlists.block_options import Options
from circuits.netlists.netlist import ZERO


def generate(frame: Frame) -> list[int]:
    """w x v multiplier: the option `compressor` says what stands in which product column; full adders are the cells of
    the placement, at places as in a Dadda tree. Returns w + v product nets; carries beyond are dropped."""
    heap = [ordered(column) for column in columns.partial_products(frame)]
    stage = 0
    while (height := max(map(len, heap))) > 2:
        stage += 1
        if frame.reduction is not None:
            frame.reduction.begin(columns.nets_and_rows(heap))
        heap = _stage(frame, heap, _target(height), stage)
    if frame.reduction is not None:
        frame.reduction.begin(columns.nets_and_rows(heap))
    return columns.final_sum(frame, heap)


def _target(height: int) -> int:
    """The highest of 2, 4, 8, ... below `height`."""
    return 1 << (height - 1).bit_length() - 1


def _stage(frame: Frame, heap: list[list[Bit]], target: int, stage: int) -> list[list[Bit]]:
    """The columns after one stage."""
    heights = [len(column) for column in heap]
    chained: list[Bit] = []  # Couts of the column below that no compressor has taken yet
    for k, column in enumerate(heap):
        compressor = frame.options["compressor"].at(k + sum(frame.origin))
        left, couts = heights[k], []
        # Chained bits that no compressor takes will be bits of this column.
        while (excess := len(column) + len(chained) - target) > 0 and left >= 2:
            use = compressor is not None and left >= 4 and excess >= 3
            size = 4 if use else 3 if left >= 3 and excess >= 2 else 2
            taken = column[:size]
            del column[:size]
            left -= size
            row = max(bit.row for bit in taken)
            nets = tuple(bit.net for bit in taken)
            if use:
                assert compressor is not None
                if compressor.has_chain:
                    nets = (*nets, chained.pop(0).net if chained else ZERO)
                total, carry, *cout = draw(frame.builder, compressor, nets, frame.place_in_column(row, k))
                couts += [Bit(net, row, stage) for net in cout if net != ZERO]
            else:
                total, carry = frame.add_in_column(row, k, *(*nets, ZERO)[:3])
            if frame.reduction is not None:
                name = f"4:2 compressor, {compressor.name}" if use and compressor is not None else ""
                frame.reduction.took(k, size, total, name)
            if k + 1 < len(heap) and carry != ZERO:
                heap[k + 1].append(Bit(carry, row, stage))
            if total != ZERO:
                column.append(Bit(total, row, stage))
        column += chained
        chained = couts
    return [ordered(column) for column in heap]


def _may_exceed(options: Options) -> bool:
    placed: CompressorColumns = options["compressor"]
    return not all(entry.is_exact for entry in placed.compressors())


TOPOLOGY = Topology(
    generate,
    port_names=COLUMN_PORTS,
    reduces_columns=True,
    options={"compressor": CompressorOption("4:2 compressor of each product column")},
    may_exceed=_may_exceed,
    exact_form={"options": {"compressor": "exact"}},
    source="Momeni, Han, Montuschi, Lombardi, IEEE Trans. Computers 64(4), 2015; every compressor has its own",
)
