"""Multiplier generators, one file each; a new topology is one more file and one line in TOPOLOGIES."""

from __future__ import annotations

from collections.abc import Mapping

from circuits.multipliers import tiling
from circuits.multipliers.array_builder import PORTS, AdderAt, Frame
from circuits.multipliers.topology import Topology
from circuits.netlists.netlist import Netlist, NetlistBuilder
from circuits.support.lazy import LazyMapping

__all__ = ["PORTS", "TOPOLOGIES", "AdderAt", "Frame", "Topology", "multiplier"]

TOPOLOGIES: Mapping[str, Topology] = LazyMapping(
    {
        "ripple_array": "circuits.multipliers.ripple_array:TOPOLOGY",
        "carry_save_array": "circuits.multipliers.carry_save_array:TOPOLOGY",
        "wallace": "circuits.multipliers.wallace:TOPOLOGY",
        "dadda": "circuits.multipliers.dadda:TOPOLOGY",
        "booth": "circuits.multipliers.booth:TOPOLOGY",
    }
)
"""The multiplier architectures by name; each generator's file describes its own."""


def multiplier(
    topology: str,
    width: tuple[int, int],
    adder_at: AdderAt,
    *,
    ports: str = "psc",
    half_adders: str = "cell",
    final_adder: str = "exact",
    tile: int | None = None,
    signed: bool = False,
    truncate_columns: int = 0,
    overflow_bit: bool = False,
    name: str | None = None,
) -> Netlist:
    """The netlist of a w x v bit multiplier: inputs `x` (w bits) and `y` (v bits), output `product`.

    `adder_at` chooses the cell of each adder; `ports`, `half_adders`, `final_adder` and `truncate_columns` are the
    policies of `array_builder.Frame`; `tile` is the width of the small arrays of `tiling`, if any. Operands and product
    are unsigned, or with `signed` in two's complement (without tiles). The product has w + v bits, one more with
    `overflow_bit`, for tiles that overestimate (see DESIGN "Tiling").
    """
    assert not (signed and tile)
    builder = NetlistBuilder(name or topology)
    x, y = builder.input("x", width[0]), builder.input("y", width[1])
    frame = Frame(builder, x, y, adder_at, ports, half_adders, final_adder, truncate_columns, signed)
    if tile is None:
        product = TOPOLOGIES[topology].generate(frame)
    else:
        product = tiling.generate(frame, TOPOLOGIES[topology].generate, tile, sum(width) + overflow_bit)
    builder.output("product", product)
    return builder.build()
