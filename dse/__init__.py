"""Design-space exploration: spaces of multipliers, scorers, the store of scores, the search and the comparison.

    >>> from dse import SearchOptions, load_run, run_search
    >>> result = run_search(SearchOptions(objectives=("transistors", "nmed"), budget=10), out="runs/mine")
    >>> scores = load_run("runs/mine")  # the designs and all their scores, as a pandas.DataFrame
    >>> len(scores)  # 10 designs of the space and 5 references
    15

Importing this package imports nothing heavy; every name is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from circuits.support.lazy import lazy_names

if TYPE_CHECKING:
    from dse.explore.design_comparison import compare_designs as compare_designs
    from dse.explore.search_options import METHODS as METHODS
    from dse.explore.search_options import SearchOptions as SearchOptions
    from dse.explore.search_result import SearchResult as SearchResult
    from dse.explore.stored_runs import load_run as load_run
    from dse.present.search_folder import run_search as run_search
    from dse.score.executor import Executor as Executor
    from dse.score.executor import Processes as Processes
    from dse.score.networks.network_fitting import settings_for_network as settings_for_network
    from dse.score.networks.network_settings import NetworkSettings as NetworkSettings
    from dse.score.scorers import COLUMNS as COLUMNS
    from dse.score.scorers import SCORERS as SCORERS
    from dse.score.scorers.scorer import Column as Column
    from dse.score.scorers.scorer import Scorer as Scorer
    from dse.score.scorers.scorer import ScoreSettings as ScoreSettings
    from dse.score.store import Store as Store
    from dse.space.families import Family as Family
    from dse.space.library_members import library_members as library_members
    from dse.space.search_space import SPACES as SPACES
    from dse.space.search_space import Space as Space
    from dse.space.search_space import find_space as find_space
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "dse.explore.design_comparison": ("compare_designs",),
            "dse.explore.search_options": (
                "METHODS",
                "SearchOptions",
            ),
            "dse.explore.search_result": ("SearchResult",),
            "dse.explore.stored_runs": ("load_run",),
            "dse.present.search_folder": ("run_search",),
            "dse.score.executor": (
                "Executor",
                "Processes",
            ),
            "dse.score.networks.network_fitting": ("settings_for_network",),
            "dse.score.networks.network_settings": ("NetworkSettings",),
            "dse.score.scorers": (
                "COLUMNS",
                "SCORERS",
            ),
            "dse.score.scorers.scorer": (
                "Column",
                "ScoreSettings",
                "Scorer",
            ),
            "dse.score.store": ("Store",),
            "dse.space.families": ("Family",),
            "dse.space.library_members": ("library_members",),
            "dse.space.search_space": (
                "SPACES",
                "Space",
                "find_space",
            ),
        },
    )
