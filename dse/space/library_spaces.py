"""Named spaces of the package's library of evolved multipliers, for networks quantised to int8."""

from __future__ import annotations

from dataclasses import replace

from dse.space.library_members import BUILT_IN, EXACT, library_members
from dse.space.search_space import Space

__all__ = ["LIBRARY_BY_LAYER", "LIBRARY_MEMBERS"]

LIBRARY_MEMBERS = Space(
    name="library",
    topologies=(),
    formats=("int8",),
    library=library_members((EXACT, BUILT_IN), ("int8",)),
)
"""One signed 8 x 8 multiplier of the library, or the exact one, for all layers."""
LIBRARY_BY_LAYER = replace(LIBRARY_MEMBERS, name="library_by_layer", network_layers=("all",))
"""One of them for each convolution and linear layer of the network."""
