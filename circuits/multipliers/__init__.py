"""Multiplier generators, one file each; a new topology is one more file and one line in TOPOLOGIES."""

from __future__ import annotations

from collections.abc import Mapping

from circuits.adders.adder_kinds import chosen_adder
from circuits.errors import unknown_name
from circuits.multipliers import signed_magnitudes, tiling
from circuits.multipliers.array_builder import PORTS, AdderAt, Frame
from circuits.multipliers.topology import Topology
from circuits.netlists.block_options import NONE, Options
from circuits.netlists.netlist import Netlist, NetlistBuilder
from circuits.netlists.reduction_record import Reduction
from circuits.support.lazy import LazyMapping

__all__ = [
    "FAMILIES",
    "FINAL_ADDERS",
    "PORTS",
    "TOPOLOGIES",
    "AdderAt",
    "Frame",
    "Topology",
    "find_topology",
    "multiplier",
]

TOPOLOGIES: Mapping[str, Topology] = LazyMapping(
    {
        "ripple_array": "circuits.multipliers.ripple_array:TOPOLOGY",
        "carry_save_array": "circuits.multipliers.carry_save_array:TOPOLOGY",
        "wallace": "circuits.multipliers.wallace:TOPOLOGY",
        "dadda": "circuits.multipliers.dadda:TOPOLOGY",
        "booth": "circuits.multipliers.booth:TOPOLOGY",
    }
)
"""Arrays and trees of adder cells by name, exact where their cells are; each generator's file describes its own."""

FAMILIES: Mapping[str, Topology] = LazyMapping(
    {
        "compressor_tree": "circuits.multipliers.compressor_tree:TOPOLOGY",
        "mitchell": "circuits.multipliers.families.mitchell:TOPOLOGY",
        "mbm": "circuits.multipliers.families.mbm:TOPOLOGY",
        "drum": "circuits.multipliers.families.drum:TOPOLOGY",
        "static_segment": "circuits.multipliers.families.static_segment:TOPOLOGY",
        "roba": "circuits.multipliers.families.roba:TOPOLOGY",
        "broken_array": "circuits.multipliers.families.broken_array:TOPOLOGY",
        "truncated": "circuits.multipliers.families.truncated:TOPOLOGY",
        "kulkarni": "circuits.multipliers.families.kulkarni:TOPOLOGY",
        "approximate_booth": "circuits.multipliers.families.approximate_booth:TOPOLOGY",
    }
)
"""Families of approximate multipliers by name, which `Design.options` parametrises: docs/how_to/families.md."""


FINAL_ADDERS = ("exact", "cell")
"""Final adders made of cells: a ripple of exact ones, or of those of their places. Any other is one of
`circuits.adders.ADDERS` with its options, "loa(lower=6)"."""


def find_topology(name: str) -> Topology:
    """The architecture of that name, from TOPOLOGIES or FAMILIES; UnknownNameError names the nearest."""
    for registry in (TOPOLOGIES, FAMILIES):
        if isinstance(name, str) and name in registry:
            return registry[name]
    raise unknown_name("topology", str(name), (*TOPOLOGIES, *FAMILIES))


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
    options: Options = NONE,
    overflow_bit: bool = False,
    reduction: Reduction | None = None,
    name: str | None = None,
) -> Netlist:
    """The netlist of a w x v bit multiplier: inputs `x` (w bits) and `y` (v bits), output `product`.

    `adder_at` chooses the cell of each adder; `ports`, `half_adders`, `final_adder` and `truncate_columns` are the
    policies of `array_builder.Frame`; `tile` is the width of the small arrays of `tiling`, if any. Operands and product
    are unsigned, or with `signed` in two's complement (without tiles). `options`: those of the topology, complete. The
    product has w + v bits, one more with `overflow_bit`, for tiles that overestimate (see DESIGN "Tiling").
    `reduction`: as in Frame.
    """
    assert not (signed and tile)
    builder = NetlistBuilder(name or topology)
    x, y = builder.input("x", width[0]), builder.input("y", width[1])
    adder = None if final_adder in FINAL_ADDERS else chosen_adder(final_adder, sum(width))
    frame = Frame(builder, x, y, adder_at, ports, half_adders, final_adder, truncate_columns, signed, options, adder)
    frame.reduction = reduction
    architecture = find_topology(topology)
    if tile is not None:
        product = tiling.generate(frame, architecture.generate, tile, sum(width) + overflow_bit)
    elif signed and architecture.magnitudes_only:
        product = signed_magnitudes.generate(frame, architecture.generate)
    else:
        product = architecture.generate(frame)
    builder.output("product", product)
    return builder.build()
