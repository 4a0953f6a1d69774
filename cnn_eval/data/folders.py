"""Where image files lie."""

from __future__ import annotations

from pathlib import Path

import platformdirs

__all__ = ["EMBEDDED_FOLDER", "default_folder"]

EMBEDDED_FOLDER = Path(__file__).parent.parent / "datasets"
"""The subsets and adversarial examples that the package carries."""


def default_folder(name: str = "mnist") -> Path:
    """The folder in the user's cache where `fetch` keeps the full files of a data set."""
    return Path(platformdirs.user_cache_dir("approximate-dse")) / "data" / name
