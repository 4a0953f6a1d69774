"""Designs as plain data: the record, where each cell stands, named designs, TOML, digests."""

from __future__ import annotations

from circuits.support.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "circuits.designs.design_library": ("LIBRARY",),
        "circuits.designs.design_record": ("Design",),
        "circuits.designs.named_designs": (
            "NAMED",
            "design",
        ),
        "circuits.designs.placement": ("Placement",),
    },
)
