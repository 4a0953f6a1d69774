"""What is searched: genomes that decode to designs."""

from __future__ import annotations

from circuits.support.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "dse.space.search_space": ("Space",),
    },
)
