"""The search methods. To add one, write its module here and add one line to `SEARCH_METHODS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from circuits.support.lazy import LazyMapping
from dse.explore.methods.exploration import Exploration

__all__ = ["SEARCH_METHODS"]

SEARCH_METHODS: Mapping[str, Callable[[Exploration], None]] = LazyMapping(
    {
        "exhaustive": "dse.explore.methods.exhaustive_search:explore_exhaustively",
        "nsga2": "dse.explore.methods.nsga2_search:explore_by_nsga2",
        "random": "dse.explore.methods.random_search:explore_at_random",
        "surrogate": "dse.explore.methods.surrogate_search:explore_by_surrogate",
    }
)
"""How the designs of a search are chosen, by the name that `--method` takes."""
