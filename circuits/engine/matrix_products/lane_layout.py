"""What the 512 lanes of the gates run over in a matrix product: the choice between the kernels for float32."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from circuits.engine.blocks import BLOCK
from circuits.engine.matrix_products.strips.strip_tiling import PACKING, strip_blocks

_STRIPS_OVER_WIDE = 1.4
_NARROW_OVER_WIDE = 1.5
"""Time of a block of products in these layouts, over one of many rows that share a weight, which leaves zeros out."""
_PREPARED = {"wide": 300, "strips": 400, "narrow": 60}
"""Blocks of products that take as long as preparing a matrix product, .1 ms at most."""
_COLUMN_PACKING = 3
"""What transposing and packing 512 weights for each k is worth where lanes run over the columns; measured 2 to 4."""
_CALL = 10  # blocks of products that take as long as a further call of a kernel


@lru_cache(maxsize=1024)
def layout_work(rows: int, depth: int, columns: int, groups: int = 1) -> Mapping[str, float]:
    """Layout -> its work for `groups` products of [rows, depth] and [columns, depth], M, K and N each.

    In blocks of 512 products, for all k:

        "wide"     lanes over m, one weight in all of them         groups ceil(M / 512) N K, in as many calls as groups
        "strips"   16 lanes over m, 32 strips over (group, n, m)   K (about groups N ceil(M / 16) / 32)
        "narrow"   lanes over (n, k), row after row                groups M ceil(N K / 512)
    """
    work = {
        "wide": groups * (-(-rows // BLOCK) * depth * (columns + PACKING) + _CALL),
        "strips": _STRIPS_OVER_WIDE * depth * strip_blocks(rows, columns, groups),
        "narrow": _NARROW_OVER_WIDE * groups * rows * -(-columns * depth // BLOCK),
    }
    return MappingProxyType({layout: blocks + _PREPARED[layout] for layout, blocks in work.items()})


def column_work(rows: int, depth: int, columns: int, groups: int, nonzeros: float) -> float:
    """The work of lanes over columns (`known_operands.column_matmul`), as that of the layouts; `nonzeros`: their share
    among the activations.

        "columns"  lanes over n, one activation in all of them      groups ceil(N / 512) K (M nonzeros + packing)
    """
    blocks = -(-columns // BLOCK) * depth * (rows * nonzeros + _COLUMN_PACKING)
    return groups * (blocks + _CALL) + _PREPARED["wide"]


def lane_layout(rows: int, depth: int, columns: int, groups: int = 1) -> str:
    """The layout with the least work."""
    work = layout_work(rows, depth, columns, groups)
    return min(work, key=lambda layout: work[layout])
