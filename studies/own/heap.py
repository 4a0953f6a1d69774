"""HEAP reconstructed: the heterogeneous array nearest to the published fingerprint, found by exhaustive search.

DA gives no cell map of HEAP, only that it combines "different approximate full adders", chosen by "an exhaustive
accuracy evaluation of all possible configurations" by MRED and NMED (appendix A), and these numbers: MRED .12 and NMED
.03 (table 8), 34 % of the results larger than exact for operands in [0, 1] (figure 15), energy .49 and delay .46 of the
exact multiplier's (table 9). With P_max = 1 and uniform operands MRED as a ratio of means is 4 NMED, so that .12 adds
nothing to .03.

The space: `SPACES`, 24 x 24 arrays of exact and AMA1-5 cells, ripple-carry and carry-save, every port order and policy,
with four places for cells: bands of product columns, bands of rows (narrower where the weight is higher, in two
gradings each) or tiles; at least two distinct cells among the places (heterogeneous). Distance from the fingerprint,
with N the NMED and L the share of results larger than exact:

    d = sqrt(((N - .03) / .03)^2 + ((L - .34) / .34)^2)

Search by successive halving: every design on few operand pairs, the nearest on more. In the last round designs whose
intervals of d (over the box of the 95 % intervals of N and L) reach into that of the smallest d tie with it; of these
the one with the fewest distinct cells is taken, then that of the lowest energy as drawn (zero delay). Published energy
and delay are not fitted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

from circuits import CELLS, Design, DesignError, cost_report, design, error_metrics
from circuits.accuracy.error_types import ErrorMetrics, Estimate
from circuits.accuracy.sampling import CHUNK
from circuits.cost import GLITCHES, conditions
from circuits.multipliers import TOPOLOGIES
from dse.explore.search_progress import Reporter
from dse.score.fast_screen import Screen
from dse.space.search_space import Genome, Space
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.rows import cost_rows

TITLE = "HEAP reconstructed by exhaustive search over heterogeneous arrays"
SOURCE = "DA tables 8 and 9, figure 15, appendix A"
NMED, LARGER, MRED = 0.03, 0.34, 0.12
ENERGY, DELAY = 0.49, 0.46
ROUNDED = {"nmed": (0.02875, 0.03125), "larger": (0.335, 0.345)}
"""What rounds to the published MRED .12 (a quarter of it, as NMED) and 34 %."""
_CELLS = tuple(CELLS[name] for name in ("exact", "ama1", "ama2", "ama3", "ama4", "ama5"))
SPACES = (
    Space(name="columns", granularity="columns", bands=(0, 36, 40, 44), cells=_CELLS),
    Space(name="top columns", granularity="columns", bands=(0, 40, 43, 45), cells=_CELLS),
    Space(name="rows", granularity="rows", bands=(0, 12, 16, 20), cells=_CELLS),
    Space(name="top rows", granularity="rows", bands=(0, 16, 19, 22), cells=_CELLS),
    Space(name="tiles", granularity="tiles", tile=12, cells=_CELLS),
)
UNIFORM = (
    Design(topology="carry_save_array", placement="ama4", ports="scp", name="ama4 carry-save scp"),
    Design(topology="carry_save_array", placement="ama4", ports="scp", tile=8, name="ama4 carry-save scp, tiles of 8"),
    Design(topology="carry_save_array", placement="ama1", ports="csp", name="ama1 carry-save csp"),
)
"""Arrays of one cell that come near, for comparison."""
SHOWN = 8
"""Designs of the last round that are printed."""
_POLICIES = 4
"""Genes before those of the places; the last of them is the final adder's policy."""


@dataclass(frozen=True)
class Level:
    """`rounds`: (operand pairs, designs kept) of each round but the last; `last`: operand pairs of the last round."""

    rounds: tuple[tuple[int, int], ...]
    last: int


LEVELS = {
    "quick": Level((), 10**6),
    "default": Level(((1 << 13, 1024), (CHUNK, 128), (10**6, 32)), 10**7),
    "full": Level(((1 << 15, 1024), (1 << 18, 128), (10**7, 32)), 10**8),
}


@dataclass(frozen=True, order=True, slots=True)
class Distance:
    """From the published fingerprint, with the range over the box of the intervals behind it."""

    value: float
    low: float
    high: float


def distance(nmed: float, larger: float) -> float:
    """The module's d."""
    return math.hypot(nmed / NMED - 1, larger / LARGER - 1)


@dataclass(frozen=True)
class Candidate:
    """A design of the space with its measured errors."""

    space: Space
    genome: Genome
    errors: ErrorMetrics

    @cached_property
    def design(self) -> Design:
        """The design itself."""
        return self.space.array(self.genome)

    @property
    def cells(self) -> int:
        """Distinct cells among the places."""
        return len(set(places(self.genome)))

    @property
    def distance(self) -> Distance:
        """From the published fingerprint."""
        nmed, larger = self.errors.nmed, self.errors.larger
        # Without an interval, which the sample was too small for, any error is possible.
        box = [(e.low, e.high) if e.has_interval else (0.0, math.inf) for e in (nmed, larger)]
        nearest = [min(max(target, low), high) for target, (low, high) in zip((NMED, LARGER), box, strict=True)]
        corners = product(*box)
        return Distance(
            distance(nmed.value, larger.value),
            distance(nearest[0], nearest[1]),
            max(distance(*corner) for corner in corners),
        )

    @property
    def rounds_to_published(self) -> bool:
        """Whether the published digits fit."""
        return all(low <= getattr(self.errors, name).value < high for name, (low, high) in ROUNDED.items())

    @cached_property
    def energy(self) -> float:
        """As drawn, zero delay, fJ."""
        return cost_report(self.design).drawn.energy


@dataclass(frozen=True)
class Found:
    """`winner`; `tied`: all that tie with the smallest distance, the winner first; `ranked`: the last round, nearest
    first. `sizes`: space -> heterogeneous genomes screened. `cuts`: (pairs, designs, largest d kept) of each round."""

    winner: Candidate
    tied: Sequence[Candidate]
    ranked: Sequence[Candidate]
    sizes: dict[str, int]
    cuts: Sequence[tuple[int, int, float]]


Scored = tuple[float, int, Genome]
"""Distance, number of the space, genome."""


def places(genome: Genome) -> Genome:
    """The cells' genes."""
    return genome[_POLICIES:]


def structures(space: Space) -> Iterator[Genome]:
    """The leading genes, once for each circuit structure: ripple arrays have no final adder (tiles of them neither)."""
    for genome in replace(space, cells=_CELLS[:1]).genomes():
        has_final_adder = TOPOLOGIES[space.topologies[genome[0]]].has_final_adder
        if has_final_adder or not genome[_POLICIES - 1]:
            yield genome[:_POLICIES]


def heterogeneous(space: Space) -> Iterator[Genome]:
    """The genes of the places, wherever two cells differ."""
    one = replace(space, topologies=space.topologies[:1], ports=space.ports[:1], half_adders=("cell",))
    for genome in replace(one, final_adders=("exact",)).genomes():
        if len(set(places(genome))) > 1:
            yield places(genome)


def search(level: Level, *, spaces: Sequence[Space] = SPACES, seed: int = 0, progress: bool = False) -> Found:
    """Every heterogeneous design of `spaces`; `seed` is that of the operands. On one thread."""
    samples, keep = level.rounds[0]
    scored: list[Scored] = []
    sizes = {}
    with Reporter(enabled=progress) as reporter:
        reporter.stage("structures screened", sum(1 for space in spaces for _ in structures(space)))
        for number, space in enumerate(spaces):
            choices = list(heterogeneous(space))
            before = len(scored)
            for leading in structures(space):
                screen = Screen(space.array((*leading, *choices[0])), samples=samples, seed=seed)
                for cells in choices:
                    found = screen.fingerprint(space.array((*leading, *cells)))
                    scored.append((distance(found.nmed, found.larger), number, (*leading, *cells)))
                reporter.advance()
            sizes[space.name] = len(scored) - before
        cuts = []
        for samples_next, keep_next in (*level.rounds[1:], (level.last, 0)):
            designs = len(scored)
            kept = distinct(spaces, sorted(scored)[:keep])
            cuts.append((samples, designs, kept[-1][0]))
            reporter.stage(f"designs on {samples_next:,} pairs", len(kept))
            candidates = []
            for _, number, genome in kept:
                candidates.append(evaluate(spaces[number], genome, samples_next, seed))
                reporter.advance()
            samples, keep = samples_next, keep_next
            scored = [(c.distance.value, spaces.index(c.space), c.genome) for c in candidates]
    ranked = sorted(candidates, key=lambda c: (c.distance.value, c.design.digest))
    tied = ties(ranked)
    return Found(tied[0], tied, ranked, sizes, cuts)


def distinct(spaces: Sequence[Space], scored: Sequence[Scored]) -> list[Scored]:
    """The first of those that are the same circuit: a final adder of cells, exact ones, is an exact final adder."""
    return list({spaces[entry[1]].array(entry[2]).digest: entry for entry in reversed(scored)}.values())[::-1]


def evaluate(space: Space, genome: Genome, samples: int, seed: int = 0) -> Candidate:
    """One design with its errors."""
    found = error_metrics(space.array(genome), samples=samples, seed=seed, threads=1, backend="interpreted")
    return Candidate(space, genome, found)


def ties(ranked: Sequence[Candidate]) -> list[Candidate]:
    """Those whose distance may be the smallest, by fewest distinct cells, lowest energy, digest."""
    furthest = min(ranked, key=lambda c: c.distance.value).distance.high
    tied = [c for c in ranked if c.distance.low <= furthest]
    return sorted(tied, key=lambda c: (c.cells, c.energy, c.design.cost_digest))


def neighbours(space: Space, genome: Genome) -> list[Genome]:
    """Heterogeneous designs that differ from `genome` in one gene, as circuits too."""
    own = space.array(genome).digest
    found = []
    for place, bound in enumerate(space.bounds):
        for gene in range(bound):
            other = (*genome[:place], gene, *genome[place + 1 :])
            if gene != genome[place] and len(set(places(other))) > 1 and space.array(other).digest != own:
                found.append(other)
    return found


def reconstruction() -> tuple[Space, Genome]:
    """Where the named design `heap` stands."""
    for space in SPACES:
        with suppress(DesignError):
            return space, space.encode(design("heap"))
    raise AssertionError("heap lies in no space of the study")


def run(options: StudyOptions) -> StudyResult:
    """Default and full search the whole space (about 5 minutes on one core, and more pairs); quick compares the named
    design `heap` with its neighbours in the space, which differ in one gene."""
    level = LEVELS[options.level]
    samples = cost_rows.SAMPLES[options.level]
    rows: list[Row] = []
    if options.level == "quick":
        space, genome = reconstruction()
        ranked = [evaluate(space, other, level.last) for other in (genome, *neighbours(space, genome))]
        ranked.sort(key=lambda c: c.distance.value)
        settings: dict[str, Any] = {"compared": f"heap and its {len(ranked) - 1} neighbours in space {space.name}"}
        own = next(c for c in ranked if c.genome == genome)
        nearer = [c for c in ranked if c.distance.high < own.distance.low]
        reason = (
            f"of heap's {len(ranked) - 1} neighbours {len(nearer) or 'none'} is nearer to the published fingerprint, "
            "intervals considered"
        )
    else:
        found = search(level, spaces=SPACES, progress=True)
        own, ranked = found.winner, list(found.ranked)
        settings = {"rounds": [list(entry) for entry in (*found.cuts, (level.last, len(ranked)))]}
        for name, size in found.sizes.items():
            rows.append(Row("space", f"heterogeneous genomes, {name}", size))
        rows.append(
            Row(
                "space",
                "that round to the published digits",
                sum(c.rounds_to_published for c in ranked),
                remark=f"of the {len(ranked)} of the last round",
            )
        )
        rows.append(
            Row("space", "tie with the nearest", len(found.tied), remark="by the 95 % intervals of the distance")
        )
        same = own.design.cost_digest == design("heap").cost_digest
        reason = f"the search finds {'the named design heap' if same else 'another design than heap: ' + text(own)}"
    rows += measures(own, samples)
    for rank, candidate in enumerate(ranked[:SHOWN], 1):
        far = candidate.distance
        nmed, larger = candidate.errors.nmed.value, 100 * candidate.errors.larger.value
        remark = f"NMED {nmed:.5f}, {larger:.2f} % larger, {candidate.cells} cells: {text(candidate)}"
        if candidate.genome == own.genome and candidate.space == own.space:
            remark = f"heap; {remark}"
        rows.append(Row(f"rank {rank}", "distance", far.value, interval=(far.low, far.high), remark=remark))
    for entry in UNIFORM:
        errors = error_metrics(entry, samples=level.last, threads=1, backend="interpreted")
        far = Candidate(SPACES[0], (), errors).distance
        remark = (
            f"NMED {errors.nmed.value:.5f}, {100 * errors.larger.value:.2f} % larger; one cell, so not in the space"
        )
        rows.append(Row(str(entry.name), "distance", far.value, interval=(far.low, far.high), remark=remark))
    return StudyResult(
        rows,
        "measured",
        f"{reason}. Unknown, and not to be recovered from the published text: cell map, ports, policies and topology, "
        "the operands behind the published figures, and their digits beyond two, to which many designs round. Energy "
        "and delay were not fitted.",
        {
            **settings,
            "spaces": [space.describe() for space in SPACES],
            "pairs": level.last,
            "operands": "uniform in [0, 1]",
            "seed": 0,
            "cost_samples": samples,
            "technology": conditions(),
        },
    )


def measures(own: Candidate, samples: int) -> list[Row]:
    """The reconstruction beside what is published."""
    subject, errors, far = own.design.label, own.errors, own.distance
    if own.design.cost_digest == design("heap").cost_digest:
        subject = design("heap").label
    costs = {glitches: cost_report(own.design, samples=samples, glitches=glitches) for glitches in GLITCHES}

    def sampled(quantity: str, estimate: Estimate, published: float, scale: float = 1.0, unit: str = "") -> Row:
        interval = (scale * estimate.low, scale * estimate.high)
        return Row(subject, quantity, scale * estimate.value, published, interval, unit)

    return [
        Row(subject, "distance", far.value, interval=(far.low, far.high), remark=text(own)),
        sampled("NMED", errors.nmed, NMED),
        sampled("larger than exact", errors.larger, 100 * LARGER, 100.0, "%"),
        sampled("MRED (ratio of means)", errors.mred_ratio_of_means, MRED),
        Row(subject, "MRED (mean of ratios)", errors.mred.value, interval=(errors.mred.low, errors.mred.high)),
        Row(subject, "distinct cells", own.cells),
        Row(subject, "energy / exact, as drawn, glitches included", costs["arc_delay"].ratio("energy"), ENERGY),
        Row(subject, "energy / exact, as drawn, zero delay", costs["none"].ratio("energy"), ENERGY),
        Row(subject, "delay / exact, as drawn", costs["none"].ratio("delay"), DELAY),
    ]


def text(candidate: Candidate) -> str:
    """The design in one line."""
    entry = candidate.design
    final = f", {entry.final_adder} final adder" if entry.has_final_adder else ""
    tile = f", tiles of {entry.tile}" if entry.tile else ""
    return f"{entry.topology}{tile}, ports {entry.ports}, {entry.half_adders} half adders{final}, {_map(candidate)}"


def _map(candidate: Candidate) -> str:
    if candidate.space.granularity != "tiles":
        return str(candidate.design.placement.describe())
    rows = [" ".join(entry.name for entry in row) for row in candidate.design.placement.cells]
    return f"X tiles from the low one, each by Y tiles: {' / '.join(rows)}"
