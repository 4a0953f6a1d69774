"""The convergence of a search: as a plot, as CSV and in a line of text."""

from __future__ import annotations

from collections.abc import Sequence

from dse.explore.convergence import CONVERGENCE_NOTE, landmarks
from dse.score.scorers.scorer import Column

__all__ = ["CONVERGENCE_FILES", "convergence_csv", "convergence_files", "convergence_text"]

Curve = Sequence[tuple[int, float]]
"""(evaluations, hypervolume), as `dse.explore.convergence` gives it."""
CONVERGENCE_FILES = ("convergence.csv", "convergence.png", "convergence.svg")
_EVALUATIONS = Column(name="evaluations", unit="1", label="designs evaluated", format=",.0f")
_VOLUME = Column(name="hypervolume", unit="1", label="hypervolume of the front", format=".3f", minimise=False)


def convergence_text(curve: Curve) -> str:
    """The hypervolume at a quarter, a half, three quarters and all of the evaluations."""
    values = ", ".join(f"{volume:.4f} after {count:,}" for count, volume in landmarks(curve))
    return f"Convergence: hypervolume {values} designs ({CONVERGENCE_NOTE})."


def convergence_csv(curve: Curve) -> str:
    """A line for each point of the curve."""
    return "evaluations,hypervolume\n" + "".join(f"{count},{volume!r}\n" for count, volume in curve)


def convergence_files(curve: Curve, title: str) -> dict[str, bytes]:
    """File name -> content, for each of CONVERGENCE_FILES."""
    from matplotlib.figure import Figure

    from circuits.drawing.figure_files import render
    from dse.present.pareto_plots import BLUE, STYLE

    def draw() -> Figure:
        figure = Figure(figsize=(7.2, 4.0), layout="constrained")
        axes = figure.add_subplot()
        counts, volumes = zip(*curve, strict=True)
        axes.step(counts, volumes, where="post", color=BLUE, linewidth=1.3)
        axes.set_xlabel(_EVALUATIONS.label)
        axes.set_ylabel(_VOLUME.label)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(title, loc="left", fontsize=10, parse_math=False)
        return figure

    files = render(draw, salt="dse", style=STYLE)
    return {
        "convergence.csv": convergence_csv(curve).encode(),
        "convergence.png": files["png"],
        "convergence.svg": files["svg"],
    }
