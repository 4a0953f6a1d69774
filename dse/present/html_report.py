"""report.html: all designs of a search with their scores, drawings and provenance, in one self-contained file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from circuits.pages.web_page import page_text
from dse.explore.search_result import SearchResult
from dse.present.search_page.search_data import search_data

__all__ = ["PAGE", "page_of", "report"]

PAGE = "dse.present.search_page"
_SCRIPTS = (
    "brushed_designs.js",
    "score_axes.js",
    "scatter.js",
    "parallel_coordinates.js",
    "search_curves.js",
    "opened_design.js",
    "search_page.js",
)


def report(result: SearchResult) -> str:
    """The page; every name is escaped, nothing is loaded from elsewhere."""
    return page_of(search_data(result))


def page_of(data: Mapping[str, Any], *, live: bool = False) -> str:
    """The page with this `search_data`; `live`: it asks its server for newer data."""
    return page_text("search_page.html", PAGE, title=data["title"], data=data, scripts=_SCRIPTS, live=live)
