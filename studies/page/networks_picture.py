"""The picture of RESULTS.md: the authors' claim rates under each network, from the stored results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import seaborn

from circuits.drawing.figure_files import png_texts, render
from studies.frame.study import StudyResult
from studies.rows.networks_figure import NetworkRate, network_rates, networks_figure

PICTURE = "RESULTS.png"
"""Name of the picture, beside the page."""
PICTURE_SAYS = (
    "The authors' numbers under each network: the published point, ours on every network, and their mean with a 95 % "
    "interval that contains the variance between networks."
)
_ROWS = "Rows"
"""The entry of the file that holds the digest of the numbers in it."""


def rates(results: Mapping[str, StudyResult]) -> list[NetworkRate]:
    """Returns the numbers over several networks that have a published one, of all studies."""
    return [rate for result in results.values() for rate in network_rates(result.rows)]


def picture(results: Mapping[str, StudyResult]) -> bytes:
    """Returns the PNG. It holds the digest of its numbers, by which `is_picture_of` knows it again."""
    of = rates(results)
    style = {**seaborn.axes_style("whitegrid"), "figure.dpi": 100}
    return render(
        lambda: networks_figure(of), salt="networks", style=style, kinds=("png",), texts={_ROWS: _digest(of)}
    )["png"]


def is_picture_of(path: Path, results: Mapping[str, StudyResult]) -> bool:
    """Whether a file was drawn from these results. Libraries may draw other pixels; only the numbers are compared."""
    of = rates(results)
    return path.is_file() and png_texts(path).get(_ROWS) == _digest(of) if of else not path.exists()


def _digest(of: Sequence[NetworkRate]) -> str:
    return hashlib.sha256(json.dumps(list(map(asdict, of)), sort_keys=True).encode()).hexdigest()
