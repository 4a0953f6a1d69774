"""What the rest of the project needs to know about a multiplier architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from circuits.multipliers.array_builder import Frame
from circuits.netlists.block_options import Option, Options

Generate = Callable[[Frame], list[int]]
"""A frame -> the product's nets, least significant bit first."""

ARRAY_PORTS = ("partial product", "sum", "carry")
"""What the ports p, s and c of an array's cells take."""
COLUMN_PORTS = ("first bit", "second bit", "third bit")
"""What the ports p, s and c of a column compressor's cells take (see `circuits.multipliers.columns`)."""


@dataclass(frozen=True)
class Topology:
    """A generator, and the properties that designs, descriptions and searches ask for instead of its name.

    `has_final_adder`: whether it ends in an adder that `Design.final_adder` chooses; arrays whose rows ripple
    need none. `port_names`: what p, s and c mean. `plain_partial_products`: whether the partial products of
    unsigned operands are x_i AND y_j, summed in rows and columns. `truncation_may_wrap`: whether exact cells can give a
    product beyond w + v bits once columns are truncated. `multiplies_exactly`: whether exact cells give exact products
    while no column is truncated, for operands of any width and sign; the engine relies on it and then leaves out the
    gates. `reduces_columns`: whether it compresses columns stage by stage and records them (`Frame.reduction`).
    `recoding(x, width, signed)`: the digits that the first operand is recoded to, if it is.

    For families of approximate multipliers:

    - `options`: what `Design.options` may say, by name. `check(shape, options)` raises DesignError where they, or the
      widths (w, v), do not fit together.
    - `uses_cells`: whether it has adder positions for `placement`, `ports` and `half_adders`; else it is gates and
      exact adders, and these keep their defaults.
    - `tileable`, `truncatable`: whether `tile` and `truncate_columns` apply.
    - `magnitudes_only`: the circuit multiplies unsigned numbers; a signed design then negates negative operands before
      it and the product behind it.
    - `may_exceed(options)`: whether a product with exact cells may have more than w + v bits (matters for tiles).
    - `exact_form`: fields of a Design that make the exact multiplier of the same structure; None: there is none.
    - `source`: where it was published.
    """

    generate: Generate
    has_final_adder: bool = True
    port_names: tuple[str, str, str] = ARRAY_PORTS
    plain_partial_products: bool = True
    truncation_may_wrap: bool = False
    multiplies_exactly: bool = False
    reduces_columns: bool = False
    recoding: Callable[[int, int, bool], list[int]] | None = None
    options: Mapping[str, Option] = field(default_factory=dict)
    check: Callable[[tuple[int, int], Options], None] | None = None
    uses_cells: bool = True
    tileable: bool = True
    truncatable: bool = True
    magnitudes_only: bool = False
    may_exceed: Callable[[Options], bool] | None = None
    exact_form: Mapping[str, Any] | None = field(default_factory=dict)
    source: str = ""


def gates_only(
    generate: Generate,
    options: Mapping[str, Option],
    source: str,
    *,
    check: Callable[[tuple[int, int], Options], None] | None = None,
) -> Topology:
    """A family without adder positions: gates and exact adders that multiply magnitudes."""
    return Topology(
        generate,
        has_final_adder=False,
        plain_partial_products=False,
        options=options,
        check=check,
        uses_cells=False,
        tileable=False,
        truncatable=False,
        magnitudes_only=True,
        exact_form=None,
        source=source,
    )
