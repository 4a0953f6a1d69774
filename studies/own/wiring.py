"""Wirings of arrays of one approximate adder against the published fingerprints of Ax-FPM and HEAP.

The text gives Ax-FPM's cell, AMA5, and an array, but not which signal drives which port, nor the policies, the tiles or
the normaliser. `wirings` are all of these, in trees of adders too. Each is compared with the fingerprint: R, the MRED
as the ratio of means, and L, the share of results larger in magnitude:

    d = sqrt(((R - published R) / published R)^2 + ((L - published L) / published L)^2)

NMED is R / 4 for operands uniform in [0, 1], so it adds nothing to d. Both operands have one distribution, so
exchanging them (which one selects the rows) changes nothing here. Every wiring is screened on few operand pairs;
behaviours that may have published numbers, and the nearest, are measured on more.
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
"""As in the released code of the paper."""
SHOWN = {"Ax-FPM": 5, "HEAP": 3}
"""Behaviours nearest to each that are printed."""
NEAR = {"mred": 0.01, "nmed": 0.0075, "larger": 1.0}
"""How far from the published number, its rounding included, a screened one may lie to be measured again: on 65,536
pairs, at least four standard errors beyond the rounding."""


@dataclass(frozen=True)
class Target:
    """A published fingerprint: MRED, NMED, percent larger; `cells`: the adders tried for it."""

    mred: float
    nmed: float
    larger: float
    cells: tuple[str, ...]

    def distance(self, mred: float, larger: float) -> float:
        """The module's d; `larger` in percent."""
        return math.hypot(mred / self.mred - 1, larger / self.larger - 1)

    def has_errors(self, mred: float, nmed: float) -> bool:
        """Whether both round to what is published."""
        return round(mred, 2) == self.mred and round(nmed, 2) == self.nmed

    def has_share(self, larger: float) -> bool:
        """Whether it rounds to what is published."""
        return round(larger) == self.larger


PUBLISHED = {
    "Ax-FPM": Target(0.33, 0.08, 96, ("ama5",)),
    "HEAP": Target(0.12, 0.03, 34, ("ama1", "ama2", "ama3", "ama4", "ama5")),
}
NAMED = ("axfpm", "axfpm_tiled", "axfpm_released")


@dataclass(frozen=True)
class Errors:
    """`ratio`: MRED as the ratio of means; `mean`: as the mean of ratios; `larger` in percent."""

    ratio: float
    mean: float
    nmed: float
    larger: float


@dataclass(frozen=True)
class Behaviour:
    """Wirings that give the same results on the screen's pairs, and their errors there."""

    wirings: tuple[Design, ...]
    errors: Errors

    @property
    def name(self) -> str:
        """The named design among the wirings, or nothing."""
        return next((name for name in NAMED if design(name) in self.wirings), "")


def wirings() -> Iterator[Design]:
    """Every structure once, of AMA5: ripple arrays, and tiles of them, have no final adder; only sums of tiles can
    overflow, so that only they tell the normalisers apart."""
    finals = {}
    for name in TOPOLOGIES:
        finals[name] = ("exact", "cell") if multipliers.TOPOLOGIES[name].has_final_adder else ("exact",)
    variants = ((None, "full"), (TILE, "full"), (TILE, "released"))
    for topology, (tile, normalization) in product(TOPOLOGIES, variants):
        for ports, half, final in product(PORTS, ("cell", "exact"), finals[topology]):
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
    """Published multiplier -> behaviours of all wirings of its cells, nearest first."""
    found: dict[str, dict[bytes, list[Design]]] = {name: {} for name in PUBLISHED}
    measured: dict[bytes, Errors] = {}
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
                key = hashlib.blake2b(results.tobytes(), digest_size=16).digest()
                for name, target in PUBLISHED.items():
                    if cell in target.cells:
                        found[name].setdefault(key, []).append(subject)
                if key not in measured:
                    measured[key] = errors(results, exact)
            reporter.advance()
    made = {}
    for name, behaviours in found.items():
        alike = [Behaviour(tuple(designs), measured[key]) for key, designs in behaviours.items()]
        made[name] = sorted(alike, key=lambda each: PUBLISHED[name].distance(each.errors.ratio, each.errors.larger))
    return made


def errors(results: Any, exact: Reals) -> Errors:
    """Of results against exact products, all positive."""
    e = results - exact
    med = float(np.abs(e).mean())
    return Errors(med / float(exact.mean()), float(np.abs(e / exact).mean()), med, 100 * float((e > 0).mean()))


def worth_measuring(target: Target, behaviours: Sequence[Behaviour], shown: int) -> list[Behaviour]:
    """The nearest `shown`, and all that may have the published errors, in either reading of MRED, or share."""

    def near(found: Errors) -> bool:
        ratio, mean = (abs(mred - target.mred) <= NEAR["mred"] for mred in (found.ratio, found.mean))
        nmed, larger = (
            abs(found.nmed - target.nmed) <= NEAR["nmed"],
            abs(found.larger - target.larger) <= NEAR["larger"],
        )
        return ((ratio or mean) and nmed) or larger

    return [each for rank, each in enumerate(behaviours) if rank < shown or near(each.errors)]


def run(options: StudyOptions) -> StudyResult:
    """Every wiring on 65,536 pairs at every level; what may fit, and the nearest, on 10^6, 10^7 or 10^8."""
    pairs, progress = PAIRS[options.level], options.level != "quick"
    found = screen_all(progress=progress)
    chosen = {name: worth_measuring(PUBLISHED[name], each, SHOWN[name]) for name, each in found.items()}
    measured: dict[str, list[tuple[Behaviour, ErrorMetrics]]] = {}
    with Reporter(enabled=progress) as reporter:
        reporter.stage(f"behaviours on {pairs:,} pairs", sum(map(len, chosen.values())))
        for name, behaviours in chosen.items():
            measured[name] = []
            for each in behaviours:
                metrics = error_metrics(each.wirings[0], samples=pairs)
                measured[name].append((each, metrics))
                reporter.advance()
            measured[name].sort(key=lambda entry: _distance(PUBLISHED[name], entry[1]))
    rows = [row for name in found for row in counts(name, found[name], measured[name])]
    rows += overflows()
    for name, entries in measured.items():
        for rank, (behaviour, metrics) in enumerate(entries[: SHOWN[name]], 1):
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
        reason(found, measured, rows),
        {
            "screen_pairs": CHUNK,
            "pairs": pairs,
            "operands": "uniform in [0, 1]",
            "topologies": list(TOPOLOGIES),
            "tile": TILE,
            "seed": 0,
        },
        render(lambda: draw(found), salt="wiring", style=seaborn.axes_style("whitegrid")),
    )


Measured = Sequence[tuple[Behaviour, ErrorMetrics]]


def _distance(target: Target, metrics: ErrorMetrics) -> float:
    return target.distance(metrics.mred_ratio_of_means.value, 100 * metrics.larger.value)


def fitting(target: Target, measured: Measured) -> tuple[Measured, Measured, Measured]:
    """Those with the published errors, MRED as the ratio of means; as the mean of ratios; with the published share."""
    ratio = [e for e in measured if target.has_errors(e[1].mred_ratio_of_means.value, e[1].nmed.value)]
    mean = [e for e in measured if target.has_errors(e[1].mred.value, e[1].nmed.value)]
    return ratio, mean, [e for e in measured if target.has_share(100 * e[1].larger.value)]


def counts(name: str, behaviours: Sequence[Behaviour], measured: Measured) -> list[Row]:
    """How many wirings there are, and how many have the published numbers."""
    target = PUBLISHED[name]
    subject = f"wirings for {name}"
    ratio, mean, larger = fitting(target, measured)
    number = sum(len(each.wirings) for each in behaviours)
    made = [
        Row(subject, "evaluated", number, remark=f"uniform arrays of {', '.join(target.cells)}"),
        Row(subject, "distinct behaviours", len(behaviours), remark=f"on {CHUNK:,} pairs"),
    ]
    published = f"MRED {target.mred:g} and NMED {target.nmed:g}"
    for quantity, chosen in (
        (f"behaviours with {published}", ratio),
        ("the same, MRED the mean of ratios", mean),
        (f"behaviours with {target.larger:g} % larger", larger),
        ("behaviours with errors and share", [e for e in (*ratio, *mean) if e in larger]),
    ):
        of = sum(len(each.wirings) for each, _ in chosen)
        made.append(Row(subject, quantity, len(chosen), remark=f"{of} wirings" if chosen else ""))
    return made


HALVED, SMALLER_HALVED = "results that the normaliser halves", "halved, of those not larger"


def overflows() -> list[Row]:
    """What the released normalisation does to the tiled circuit."""
    x, w = uniform01(0, 0, CHUNK)
    released, full = (design(name).multiply(x, w) for name in ("axfpm_released", "axfpm_tiled"))
    halved = released != full
    smaller = released <= x.astype(np.float64) * w
    made = []
    for quantity, number, of in (
        (HALVED, int(halved.sum()), CHUNK),
        (SMALLER_HALVED, int((halved & smaller).sum()), int(smaller.sum())),
    ):
        made.append(share_row("axfpm_released", quantity, number, of))
    return made


def nearest(name: str, subject: str, behaviour: Behaviour, metrics: ErrorMetrics) -> list[Row]:
    """One behaviour as measured."""
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
    """The wiring in one line, the named one or the first."""
    entry = design(behaviour.name) if behaviour.name else behaviour.wirings[0]
    named = f"{behaviour.name}: " if behaviour.name else ""
    final = f", {entry.final_adder} final adder" if entry.has_final_adder else ""
    tile = f", tiles of {entry.tile}, {entry.normalization} normalisation" if entry.tile else ""
    cell = entry.placement.describe()
    return f"{named}{cell}, {entry.topology}, ports {entry.ports}, {entry.half_adders} half adders{final}{tile}"


def reason(found: Mapping[str, Sequence[Behaviour]], measured: Mapping[str, Measured], rows: Sequence[Row]) -> str:
    """Whether one circuit has all published numbers of Ax-FPM, which have some, and what is nearest."""
    target, entries = PUBLISHED["Ax-FPM"], measured["Ax-FPM"]
    ratio, mean, larger = fitting(target, entries)
    both = [entry for entry in (*ratio, *mean) if entry in larger]

    def span(values: Sequence[float], digits: int) -> str:
        low, high = (f"{end:.{digits}f}" for end in (min(values), max(values)))
        return low if low == high else f"{low} to {high}"

    def names(chosen: Measured) -> str:
        known = [behaviour.name for behaviour, _ in chosen if behaviour.name]
        return f" ({', '.join(known)} among them)" if known else ""

    told = [f"of {len(found['Ax-FPM'])} behaviours of AMA5 {len(both) or 'none'} has all of Ax-FPM's numbers"]
    if ratio:
        shares = span([100 * metrics.larger.value for _, metrics in ratio], 1)
        told.append(f"{len(ratio)}{names(ratio)} have MRED .33 and NMED .08, with {shares} % of their results larger")
    if larger:
        errors = span([metrics.mred_ratio_of_means.value for _, metrics in larger], 3)
        told.append(f"{len(larger)}{names(larger)} have 96 % larger, with an MRED of {errors}")
    value = {row.quantity: row.measured for row in rows if row.subject == "axfpm_released"}
    told.append(
        f"the released normaliser halves {value[HALVED]:.1f} % of axfpm_tiled's results; of those that then are not "
        f"larger than exact {value[SMALLER_HALVED]:.0f} % are halved ones"
    )
    for name in PUBLISHED:
        behaviour, metrics = measured[name][0]
        errors = (
            f"{metrics.mred_ratio_of_means.value:.3f}, {metrics.nmed.value:.3f} and {100 * metrics.larger.value:.1f} %"
        )
        distance = _distance(PUBLISHED[name], metrics)
        told.append(f"nearest to {name}, at distance {distance:.3f}, with {errors}: {text(behaviour)}")
    return "; ".join(told) + "."


def draw(found: Mapping[str, Sequence[Behaviour]]) -> Figure:
    """A panel a published multiplier: every behaviour by its MRED and share larger; the fingerprint as a cross."""
    colours = seaborn.color_palette("colorblind")
    figure = Figure(figsize=(10.0, 5.4), layout="constrained")
    panels = figure.subplots(1, len(found), sharex=True, sharey=True)
    for axes, (name, behaviours) in zip(panels, found.items(), strict=True):
        # Where designs of several kinds behave alike, their marks stand around each other.
        marks = zip(KINDS, "osD", (5, 7, 9), colours, strict=False)
        for kind, marker, size, colour in marks:
            kept = [each.errors for each in behaviours if any(_kind(entry) == kind for entry in each.wirings)]
            axes.plot(
                [each.ratio for each in kept],
                [each.larger for each in kept],
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


def _kind(entry: Design) -> str:
    return KINDS[0 if entry.tile is None else 1 + (entry.normalization == "released")]
