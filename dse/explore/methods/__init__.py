"""The search methods. To add one, write its module here and add one line to `SEARCH_METHODS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from dse.explore.methods.exhaustive_search import explore_exhaustively
from dse.explore.methods.exploration import Exploration
from dse.explore.methods.nsga2_search import explore_by_nsga2
from dse.explore.methods.random_search import explore_at_random

__all__ = ["SEARCH_METHODS"]

SEARCH_METHODS: Mapping[str, Callable[[Exploration], None]] = MappingProxyType(
    {
        "exhaustive": explore_exhaustively,
        "nsga2": explore_by_nsga2,
        "random": explore_at_random,
    }
)
"""How the designs of a search are chosen, by the name that `--method` takes."""
