"""Compares all wirings of arrays of one approximate adder with the published fingerprints of Ax-FPM and HEAP.

DA gives the cell of Ax-FPM, AMA5, and says that it forms an array. It does not say which signal drives which port, nor
does it give the policies, the tiles or the normaliser. A wiring is one choice of all of these; `wirings` enumerates
them, adder trees included. The fingerprint of a wiring is R, its MRED as the ratio of means, and L, the share of
results larger in magnitude. Its distance from the published one is

    d = sqrt(((R - published R) / published R)^2 + ((L - published L) / published L)^2)

The mean product of operands uniform in [0, 1] is 1/4 and the largest is 1, so NMED = R / 4 adds nothing to d. Both
operands have the same distribution, so exchanging them (which one selects the rows) makes no difference here. Every
wiring is screened on few operand pairs. The nearest ones, and those that may have the published numbers, are then
measured on more.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import seaborn
from matplotlib.figure import Figure

from circuits import Design, design, error_metrics, multipliers
from circuits.accuracy.error_types import ErrorMetrics
from circuits.accuracy.sampling import CHUNK, uniform01
from circuits.drawing.figure_files import render
from circuits.multipliers import PORTS
from dse.explore.search_progress import Reporter
from dse.score.fast_screen import Screen
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.rows.noise_rows import PAIRS, Reals
from studies.rows.sampled_rows import estimate_row, share_row

TITLE = "every wiring of arrays of one adder against the published errors of Ax-FPM and HEAP"
SOURCE = "DA section 4.1, figure 15, table 8"
TOPOLOGIES = ("ripple_array", "carry_save_array", "wallace", "dadda")
TILE = 4
"""Width of a tile in the paper's released code."""
SHOWN = {"Ax-FPM": 5, "HEAP": 3}
"""Number of nearest behaviours that have rows, per published multiplier."""
NEAR = {"mred": 0.01, "nmed": 0.0075, "larger": 1.0}
"""Largest distance from a published number at which a screened wiring is measured again.

It is the half unit by which the published number is rounded, plus at least four standard errors on 65,536 pairs.
"""


@dataclass(frozen=True)
class Target:
    """A published fingerprint: MRED, NMED and percentage of larger results. `cells` are the adders tried for it."""

    mred: float
    nmed: float
    larger: float
    cells: tuple[str, ...]

    def distance(self, mred: float, larger: float) -> float:
        """Returns the distance d of the module's docstring. `larger` is in percent."""
        return math.hypot(mred / self.mred - 1, larger / self.larger - 1)

    def has_errors(self, mred: float, nmed: float) -> bool:
        """Whether both errors round to the published ones."""
        return round(mred, 2) == self.mred and round(nmed, 2) == self.nmed

    def has_share(self, larger: float) -> bool:
        """Whether the share, in percent, rounds to the published one."""
        return round(larger) == self.larger


PUBLISHED = {
    "Ax-FPM": Target(0.33, 0.08, 96, ("ama5",)),
    "HEAP": Target(0.12, 0.03, 34, ("ama1", "ama2", "ama3", "ama4", "ama5")),
}
NAMED = ("axfpm", "axfpm_tiled", "axfpm_released")


@dataclass(frozen=True)
class Errors:
    """Errors on the screen's pairs: MRED as the ratio of means and as the mean of ratios; `larger` is in percent."""

    ratio: float
    mean: float
    nmed: float
    larger: float


@dataclass(frozen=True)
class Behaviour:
    """Wirings that give the same results on the screen's pairs, with their errors on those pairs."""

    wirings: tuple[Design, ...]
    errors: Errors

    @property
    def name(self) -> str:
        """The name of the design in NAMED that is one of the wirings; empty if none is."""
        return next((name for name in NAMED if design(name) in self.wirings), "")


def wirings() -> Iterator[Design]:
    """Yields every structure once, built of AMA5.

    Ripple arrays, tiled or not, have no final adder. Only a sum of tiles can overflow, so the normalisers differ only
    for tiled arrays.
    """
    final_adders = {}
    for name in TOPOLOGIES:
        final_adders[name] = ("exact", "cell") if multipliers.TOPOLOGIES[name].has_final_adder else ("exact",)
    variants = ((None, "full"), (TILE, "full"), (TILE, "released"))
    for topology, (tile, normalization) in product(TOPOLOGIES, variants):
        for ports, half, final in product(PORTS, ("cell", "exact"), final_adders[topology]):
            yield Design(
                topology=topology,
                placement="ama5",
                ports=ports,
                half_adders=half,
                final_adder=final,
                tile=tile,
                normalization=normalization,
            )


def screen_all(pairs: int = CHUNK, *, progress: bool = False) -> dict[str, list[Behaviour]]:
    """Screens all wirings. Returns published multiplier -> behaviours of the wirings of its cells, nearest first."""
    designs_by_behaviour: dict[str, dict[bytes, list[Design]]] = {name: {} for name in PUBLISHED}
    errors_by_behaviour: dict[bytes, Errors] = {}
    x, w = uniform01(0, 0, pairs)
    exact = x.astype(np.float64) * w
    structures = list(wirings())
    with Reporter(enabled=progress) as reporter:
        reporter.stage("wirings, for every cell", len(structures))
        for structure in structures:
            screen = Screen(structure, samples=pairs)
            for cell in dict.fromkeys(cell for target in PUBLISHED.values() for cell in target.cells):
                subject = replace(structure, placement=cell)
                results = screen.products(subject)
                # Wirings with the same results on all pairs share a digest, and with it a behaviour.
                key = hashlib.blake2b(results.tobytes(), digest_size=16).digest()
                for name, target in PUBLISHED.items():
                    if cell in target.cells:
                        designs_by_behaviour[name].setdefault(key, []).append(subject)
                if key not in errors_by_behaviour:
                    errors_by_behaviour[key] = errors(results, exact)
            reporter.advance()
    ranked = {}
    for name, behaviours in designs_by_behaviour.items():
        behaviours_of_name = [
            Behaviour(tuple(designs), errors_by_behaviour[key]) for key, designs in behaviours.items()
        ]
        ranked[name] = sorted(
            behaviours_of_name,
            key=lambda behaviour: PUBLISHED[name].distance(behaviour.errors.ratio, behaviour.errors.larger),
        )
    return ranked


def errors(results: Any, exact: Reals) -> Errors:
    """Returns the errors of `results` against exact products, which must be positive."""
    e = results - exact
    med = float(np.abs(e).mean())
    return Errors(med / float(exact.mean()), float(np.abs(e / exact).mean()), med, 100 * float((e > 0).mean()))


def worth_measuring(target: Target, behaviours: Sequence[Behaviour], nearest_count: int) -> list[Behaviour]:
    """Selects the `nearest_count` nearest behaviours and all that may have the published errors or the published share.

    Both readings of MRED count, the ratio of means and the mean of ratios.
    """

    def near(screened: Errors) -> bool:
        ratio, mean = (abs(mred - target.mred) <= NEAR["mred"] for mred in (screened.ratio, screened.mean))
        nmed, larger = (
            abs(screened.nmed - target.nmed) <= NEAR["nmed"],
            abs(screened.larger - target.larger) <= NEAR["larger"],
        )
        return ((ratio or mean) and nmed) or larger

    return [behaviour for rank, behaviour in enumerate(behaviours) if rank < nearest_count or near(behaviour.errors)]


def run(options: StudyOptions) -> StudyResult:
    """Screens every wiring on 65,536 pairs, then measures the selected ones on 10^6, 10^7 or 10^8 pairs, by level."""
    pairs, progress = PAIRS[options.level], options.level != "quick"
    screened = screen_all(progress=progress)
    selected = {
        name: worth_measuring(PUBLISHED[name], candidates, SHOWN[name]) for name, candidates in screened.items()
    }
    measured: dict[str, list[tuple[Behaviour, ErrorMetrics]]] = {}
    with Reporter(enabled=progress) as reporter:
        reporter.stage(f"behaviours on {pairs:,} pairs", sum(map(len, selected.values())))
        for name, behaviours in selected.items():
            measured[name] = []
            for behaviour in behaviours:
                metrics = error_metrics(behaviour.wirings[0], samples=pairs)
                measured[name].append((behaviour, metrics))
                reporter.advance()
            measured[name].sort(key=lambda measurement: _distance(PUBLISHED[name], measurement[1]))
    rows = [row for name in screened for row in counts(name, screened[name], measured[name])]
    rows += overflows()
    for name, measurements in measured.items():
        for rank, (behaviour, metrics) in enumerate(measurements[: SHOWN[name]], 1):
            rows += nearest(name, f"{name}, rank {rank}", behaviour, metrics)
    rows += [
        row
        for behaviour, metrics in measured["Ax-FPM"][SHOWN["Ax-FPM"] :]
        if behaviour.name
        for row in nearest("Ax-FPM", behaviour.name, behaviour, metrics)
    ]
    return StudyResult(
        rows,
        "measured",
        reason(screened, measured, rows),
        {
            "screen_pairs": CHUNK,
            "pairs": pairs,
            "operands": "uniform in [0, 1]",
            "topologies": list(TOPOLOGIES),
            "tile": TILE,
            "seed": 0,
        },
        render(lambda: draw(screened), salt="wiring", style=seaborn.axes_style("whitegrid")),
    )


Measured = Sequence[tuple[Behaviour, ErrorMetrics]]
"""Behaviours with their errors on the larger sample."""


def _distance(target: Target, metrics: ErrorMetrics) -> float:
    """Returns the distance d of measured errors from a published fingerprint."""
    return target.distance(metrics.mred_ratio_of_means.value, 100 * metrics.larger.value)


def fitting(target: Target, measured: Measured) -> tuple[Measured, Measured, Measured]:
    """Selects the behaviours that round to the published numbers.

    Returns those with the published errors if MRED is the ratio of means, those with the published errors if it is the
    mean of ratios, and those with the published share.
    """
    ratio = [e for e in measured if target.has_errors(e[1].mred_ratio_of_means.value, e[1].nmed.value)]
    mean = [e for e in measured if target.has_errors(e[1].mred.value, e[1].nmed.value)]
    return ratio, mean, [e for e in measured if target.has_share(100 * e[1].larger.value)]


def counts(name: str, behaviours: Sequence[Behaviour], measured: Measured) -> list[Row]:
    """Returns rows that count the wirings, and the behaviours with the published numbers."""
    target = PUBLISHED[name]
    subject = f"wirings for {name}"
    ratio, mean, larger = fitting(target, measured)
    total = sum(len(behaviour.wirings) for behaviour in behaviours)
    rows = [
        Row(subject, "evaluated", total, remark=f"uniform arrays of {', '.join(target.cells)}"),
        Row(subject, "distinct behaviours", len(behaviours), remark=f"on {CHUNK:,} pairs"),
    ]
    published = f"MRED {target.mred:g} and NMED {target.nmed:g}"
    for quantity, selected in (
        (f"behaviours with {published}", ratio),
        ("the same, MRED the mean of ratios", mean),
        (f"behaviours with {target.larger:g} % larger", larger),
        ("behaviours with errors and share", [e for e in (*ratio, *mean) if e in larger]),
    ):
        wiring_count = sum(len(behaviour.wirings) for behaviour, _ in selected)
        rows.append(Row(subject, quantity, len(selected), remark=f"{wiring_count} wirings" if selected else ""))
    return rows


HALVED, SMALLER_HALVED = "results that the normaliser halves", "halved, of those not larger"


def overflows() -> list[Row]:
    """Returns rows on the effect of the released normalisation on the tiled circuit."""
    x, w = uniform01(0, 0, CHUNK)
    released, full = (design(name).multiply(x, w) for name in ("axfpm_released", "axfpm_tiled"))
    halved = released != full
    smaller = released <= x.astype(np.float64) * w
    rows = []
    for quantity, count, total in (
        (HALVED, int(halved.sum()), CHUNK),
        (SMALLER_HALVED, int((halved & smaller).sum()), int(smaller.sum())),
    ):
        rows.append(share_row("axfpm_released", quantity, count, total))
    return rows


def nearest(name: str, subject: str, behaviour: Behaviour, metrics: ErrorMetrics) -> list[Row]:
    """Returns the rows of one measured behaviour."""
    target, others = PUBLISHED[name], len(behaviour.wirings) - 1
    remark = text(behaviour) + (f"; {others} more wirings give the same results" if others else "")
    ratio, nmed, larger = metrics.mred_ratio_of_means, metrics.nmed, metrics.larger
    return [
        Row(subject, "distance", _distance(target, metrics), remark=remark),
        estimate_row(subject, "MRED (ratio of means)", ratio, target.mred),
        estimate_row(subject, "NMED", nmed, target.nmed),
        estimate_row(subject, "larger in magnitude", larger, target.larger, 100.0, "%"),
    ]


def text(behaviour: Behaviour) -> str:
    """Describes a wiring in one line: the named design if there is one, otherwise the first wiring."""
    wiring = design(behaviour.name) if behaviour.name else behaviour.wirings[0]
    named = f"{behaviour.name}: " if behaviour.name else ""
    final = f", {wiring.final_adder} final adder" if wiring.has_final_adder else ""
    tile = f", tiles of {wiring.tile}, {wiring.normalization} normalisation" if wiring.tile else ""
    cell = wiring.placement.describe()
    return f"{named}{cell}, {wiring.topology}, ports {wiring.ports}, {wiring.half_adders} half adders{final}{tile}"


def reason(screened: Mapping[str, Sequence[Behaviour]], measured: Mapping[str, Measured], rows: Sequence[Row]) -> str:
    """Says whether a circuit has all published numbers of Ax-FPM, which circuits have some, and which are nearest."""
    target, measurements = PUBLISHED["Ax-FPM"], measured["Ax-FPM"]
    ratio, mean, larger = fitting(target, measurements)
    both = [measurement for measurement in (*ratio, *mean) if measurement in larger]

    def span(values: Sequence[float], digits: int) -> str:
        low, high = (f"{end:.{digits}f}" for end in (min(values), max(values)))
        return low if low == high else f"{low} to {high}"

    def names(selected: Measured) -> str:
        known = [behaviour.name for behaviour, _ in selected if behaviour.name]
        return f" ({', '.join(known)} among them)" if known else ""

    clauses = [f"of {len(screened['Ax-FPM'])} behaviours of AMA5 {len(both) or 'none'} has all of Ax-FPM's numbers"]
    if ratio:
        shares = span([100 * metrics.larger.value for _, metrics in ratio], 1)
        clauses.append(
            f"{len(ratio)}{names(ratio)} have MRED .33 and NMED .08, with {shares} % of their results larger"
        )
    if larger:
        errors = span([metrics.mred_ratio_of_means.value for _, metrics in larger], 3)
        clauses.append(f"{len(larger)}{names(larger)} have 96 % larger, with an MRED of {errors}")
    value = {row.quantity: row.measured for row in rows if row.subject == "axfpm_released"}
    clauses.append(
        f"the released normaliser halves {value[HALVED]:.1f} % of axfpm_tiled's results; of those that then are not "
        f"larger than exact {value[SMALLER_HALVED]:.0f} % are halved ones"
    )
    for name in PUBLISHED:
        behaviour, metrics = measured[name][0]
        errors = (
            f"{metrics.mred_ratio_of_means.value:.3f}, {metrics.nmed.value:.3f} and {100 * metrics.larger.value:.1f} %"
        )
        distance = _distance(PUBLISHED[name], metrics)
        clauses.append(f"nearest to {name}, at distance {distance:.3f}, with {errors}: {text(behaviour)}")
    return "; ".join(clauses) + "."


def draw(screened: Mapping[str, Sequence[Behaviour]]) -> Figure:
    """Draws one panel per published multiplier: each behaviour by MRED and share larger, the fingerprint as a cross."""
    colours = seaborn.color_palette("colorblind")
    figure = Figure(figsize=(10.0, 5.4), layout="constrained")
    panels = figure.subplots(1, len(screened), sharex=True, sharey=True)
    for axes, (name, behaviours) in zip(panels, screened.items(), strict=True):
        # Marks of different kinds differ in size, so that they remain visible where the kinds behave the same.
        marks = zip(KINDS, "osD", (5, 7, 9), colours, strict=False)
        for kind, marker, size, colour in marks:
            kind_errors = [
                behaviour.errors
                for behaviour in behaviours
                if any(_kind(wiring) == kind for wiring in behaviour.wirings)
            ]
            axes.plot(
                [behaviour.ratio for behaviour in kind_errors],
                [behaviour.larger for behaviour in kind_errors],
                marker,
                markersize=size,
                markerfacecolor="none",
                markeredgecolor=colour,
                label=kind,
            )
        target = PUBLISHED[name]
        axes.plot([target.mred], [target.larger], "k+", markersize=22, markeredgewidth=1.8, label="published")
        for behaviour in behaviours:
            if behaviour.name and name == "Ax-FPM":
                axes.annotate(
                    behaviour.name,
                    (behaviour.errors.ratio, behaviour.errors.larger),
                    xytext=(0.47, 96 - 7 * NAMED.index(behaviour.name)),
                    arrowprops={"arrowstyle": "-", "color": "black", "linewidth": 0.8, "relpos": (0.0, 0.5)},
                    fontsize=9,
                )
        axes.set_title(f"{name}: {', '.join(target.cells)}", fontsize=10)
        axes.set_xlabel("MRED as the ratio of means, mean |e| / mean p")
    panels[0].set_ylabel("results larger in magnitude [%]")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


KINDS = ("untiled", f"tiles of {TILE}", f"tiles of {TILE}, released normalisation")


def _kind(wiring: Design) -> str:
    return KINDS[0 if wiring.tile is None else 1 + (wiring.normalization == "released")]
