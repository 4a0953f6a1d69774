"""Reconstructs HEAP: searches exhaustively for the heterogeneous array nearest to the published fingerprint.

DA does not publish the cell map of HEAP. It says that HEAP combines "different approximate full adders", chosen by "an
exhaustive accuracy evaluation of all possible configurations" by MRED and NMED (appendix A). It gives these numbers:
MRED .12 and NMED .03 (table 8); 34 % of the results larger than exact for operands in [0, 1] (figure 15); energy .49
and delay .46 of the exact multiplier's (table 9).

For uniform operands in [0, 1], the largest product is 1 and the mean product is 1/4. The MRED as the ratio of means is
therefore MED / (1/4) = 4 NMED, so that the published .12 adds no information to .03.

The search covers `SPACES`: 24 x 24 arrays of exact and AMA1-5 cells, ripple-carry and carry-save, with every port
assignment and policy. An array has four positions for cells: bands of product columns or bands of rows (in two gradings
each, narrower where the weight is higher), or tiles. A heterogeneous array has at least two distinct cells. With the
NMED N and the share L of results larger than exact, the distance from the fingerprint is

    d = sqrt(((N - .03) / .03)^2 + ((L - .34) / .34)^2)

The search is a successive halving: it evaluates every design on few operand pairs and the nearest designs on more. The
95 % intervals of N and L form a box, and the smallest and largest d in the box form an interval of d. In the last
round, a design ties with the nearest one if its interval starts below the end of the nearest one's. Among tied designs
the fewest distinct cells win, then the lowest energy, unoptimised and at zero delay. The published energy and delay are
not fitted.
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
"""Ranges that round to the published numbers: .115 to .125 for the MRED, divided by 4 to give the NMED; and 34 %."""
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
"""Arrays of one kind of cell that come close to the fingerprint, for comparison."""
SHOWN = 8
"""Number of designs of the last round that have a row."""
_POLICIES = 4
"""Number of genes before the cells' genes. The last of them is the policy of the final adder."""


@dataclass(frozen=True)
class Level:
    """The effort of a search.

    `rounds` gives (operand pairs, surviving designs) of each round but the last. `last` gives the operand pairs of the
    last round.
    """

    rounds: tuple[tuple[int, int], ...]
    last: int


LEVELS = {
    "quick": Level((), 10**6),
    "default": Level(((1 << 13, 1024), (CHUNK, 128), (10**6, 32)), 10**7),
    "full": Level(((1 << 15, 1024), (1 << 18, 128), (10**7, 32)), 10**8),
}


@dataclass(frozen=True, order=True, slots=True)
class Distance:
    """Distance d from the published fingerprint, with its range over the box of the intervals of N and L."""

    value: float
    low: float
    high: float


def distance(nmed: float, larger: float) -> float:
    """Returns the distance d of the module's docstring."""
    return math.hypot(nmed / NMED - 1, larger / LARGER - 1)


@dataclass(frozen=True)
class Candidate:
    """A design of the space with its measured errors."""

    space: Space
    genome: Genome
    errors: ErrorMetrics

    @cached_property
    def design(self) -> Design:
        """The array that the genome encodes."""
        return self.space.array(self.genome)

    @property
    def cells(self) -> int:
        """Number of distinct cells in the array."""
        return len(set(places(self.genome)))

    @property
    def distance(self) -> Distance:
        """Distance from the published fingerprint.

        d grows with the distance of N and of L from their targets. Over a box it is therefore smallest at the point
        whose coordinates are the targets clipped to the box, and largest at a corner.
        """
        nmed, larger = self.errors.nmed, self.errors.larger
        # If the sample is too small for an interval, any error is possible.
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
        """Whether NMED and share round to the published numbers."""
        return all(low <= getattr(self.errors, name).value < high for name, (low, high) in ROUNDED.items())

    @cached_property
    def energy(self) -> float:
        """Energy of the unoptimised netlist at zero delay, fJ."""
        return cost_report(self.design).drawn.energy


@dataclass(frozen=True)
class SearchResult:
    """Result of a search.

    - `winner`: the chosen design.
    - `tied`: all designs that tie with the nearest one, the winner first.
    - `ranked`: the designs of the last round, nearest first.
    - `sizes`: name of the space -> number of screened heterogeneous genomes.
    - `cuts`: (operand pairs, evaluated designs, largest surviving d) of each round.
    """

    winner: Candidate
    tied: Sequence[Candidate]
    ranked: Sequence[Candidate]
    sizes: dict[str, int]
    cuts: Sequence[tuple[int, int, float]]


Scored = tuple[float, int, Genome]
"""(distance, index of the space, genome)."""


def places(genome: Genome) -> Genome:
    """Returns the genes that choose the cells."""
    return genome[_POLICIES:]


def structures(space: Space) -> Iterator[Genome]:
    """Yields the leading genes, once per circuit structure.

    A ripple array, tiled or not, has no final adder, so only one of the final adder's policies counts.
    """
    for genome in replace(space, cells=_CELLS[:1]).genomes():
        has_final_adder = TOPOLOGIES[space.topologies[genome[0]]].has_final_adder
        if has_final_adder or not genome[_POLICIES - 1]:
            yield genome[:_POLICIES]


def heterogeneous(space: Space) -> Iterator[Genome]:
    """Yields the cells' genes of every heterogeneous array."""
    one = replace(space, topologies=space.topologies[:1], ports=space.ports[:1], half_adders=("cell",))
    for genome in replace(one, final_adders=("exact",)).genomes():
        if len(set(places(genome))) > 1:
            yield places(genome)


def search(level: Level, *, spaces: Sequence[Space] = SPACES, seed: int = 0, progress: bool = False) -> SearchResult:
    """Searches all heterogeneous designs of `spaces` on one thread. `seed` seeds the operands."""
    samples, keep = level.rounds[0]
    scored: list[Scored] = []
    sizes = {}
    with Reporter(enabled=progress) as reporter:
        reporter.stage("structures screened", sum(1 for space in spaces for _ in structures(space)))
        for space_index, space in enumerate(spaces):
            choices = list(heterogeneous(space))
            scored_before = len(scored)
            for structure in structures(space):
                screen = Screen(space.array((*structure, *choices[0])), samples=samples, seed=seed)
                for cell_genes in choices:
                    fingerprint = screen.fingerprint(space.array((*structure, *cell_genes)))
                    scored.append(
                        (distance(fingerprint.nmed, fingerprint.larger), space_index, (*structure, *cell_genes))
                    )
                reporter.advance()
            sizes[space.name] = len(scored) - scored_before
        cuts = []
        for next_samples, next_keep in (*level.rounds[1:], (level.last, 0)):
            designs = len(scored)
            survivors = distinct(spaces, sorted(scored)[:keep])
            cuts.append((samples, designs, survivors[-1][0]))
            reporter.stage(f"designs on {next_samples:,} pairs", len(survivors))
            candidates = []
            for _, space_index, genome in survivors:
                candidates.append(evaluate(spaces[space_index], genome, next_samples, seed))
                reporter.advance()
            samples, keep = next_samples, next_keep
            scored = [(c.distance.value, spaces.index(c.space), c.genome) for c in candidates]
    ranked = sorted(candidates, key=lambda c: (c.distance.value, c.design.digest))
    tied = ties(ranked)
    return SearchResult(tied[0], tied, ranked, sizes, cuts)


def distinct(spaces: Sequence[Space], scored: Sequence[Scored]) -> list[Scored]:
    """Drops all but the first of the genomes that give the same circuit.

    For example, a final adder of the array's cells is the exact final adder if those cells are exact.
    """
    return list(
        {spaces[candidate[1]].array(candidate[2]).digest: candidate for candidate in reversed(scored)}.values()
    )[::-1]


def evaluate(space: Space, genome: Genome, samples: int, seed: int = 0) -> Candidate:
    """Measures the errors of one design."""
    metrics = error_metrics(space.array(genome), samples=samples, seed=seed, threads=1, backend="interpreted")
    return Candidate(space, genome, metrics)


def ties(ranked: Sequence[Candidate]) -> list[Candidate]:
    """Returns the designs that tie with the nearest, ordered by number of distinct cells, energy and digest."""
    furthest = min(ranked, key=lambda c: c.distance.value).distance.high
    tied = [c for c in ranked if c.distance.low <= furthest]
    return sorted(tied, key=lambda c: (c.cells, c.energy, c.design.cost_digest))


def neighbours(space: Space, genome: Genome) -> list[Genome]:
    """Returns the heterogeneous genomes that differ from `genome` in one gene and give another circuit."""
    own = space.array(genome).digest
    variants = []
    for position, bound in enumerate(space.bounds):
        for gene in range(bound):
            other = (*genome[:position], gene, *genome[position + 1 :])
            if gene != genome[position] and len(set(places(other))) > 1 and space.array(other).digest != own:
                variants.append(other)
    return variants


def reconstruction() -> tuple[Space, Genome]:
    """Returns the space and the genome of the named design `heap`."""
    for space in SPACES:
        with suppress(DesignError):
            return space, space.encode(design("heap"))
    raise AssertionError("heap lies in no space of the study")


def run(options: StudyOptions) -> StudyResult:
    """Searches the whole space at levels default (about 5 minutes on one core) and full (more operand pairs).

    Level quick compares the named design `heap` with its neighbours in the space, which differ in one gene.
    """
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
        result = search(level, spaces=SPACES, progress=True)
        own, ranked = result.winner, list(result.ranked)
        settings = {"rounds": [list(array) for array in (*result.cuts, (level.last, len(ranked)))]}
        for name, size in result.sizes.items():
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
            Row("space", "tie with the nearest", len(result.tied), remark="by the 95 % intervals of the distance")
        )
        same = own.design.cost_digest == design("heap").cost_digest
        reason = f"the search finds {'the named design heap' if same else 'another design than heap: ' + text(own)}"
    rows += measures(own, samples)
    for rank, candidate in enumerate(ranked[:SHOWN], 1):
        d = candidate.distance
        nmed, larger = candidate.errors.nmed.value, 100 * candidate.errors.larger.value
        remark = f"NMED {nmed:.5f}, {larger:.2f} % larger, {candidate.cells} cells: {text(candidate)}"
        if candidate.genome == own.genome and candidate.space == own.space:
            remark = f"heap; {remark}"
        rows.append(Row(f"rank {rank}", "distance", d.value, interval=(d.low, d.high), remark=remark))
    for array in UNIFORM:
        errors = error_metrics(array, samples=level.last, threads=1, backend="interpreted")
        d = Candidate(SPACES[0], (), errors).distance
        remark = (
            f"NMED {errors.nmed.value:.5f}, {100 * errors.larger.value:.2f} % larger; one cell, so not in the space"
        )
        rows.append(Row(str(array.name), "distance", d.value, interval=(d.low, d.high), remark=remark))
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
    """Returns the rows of the reconstruction beside the published numbers."""
    subject, errors, d = own.design.label, own.errors, own.distance
    if own.design.cost_digest == design("heap").cost_digest:
        subject = design("heap").label
    costs = {glitches: cost_report(own.design, samples=samples, glitches=glitches) for glitches in GLITCHES}

    def sampled(quantity: str, estimate: Estimate, published: float, scale: float = 1.0, unit: str = "") -> Row:
        interval = (scale * estimate.low, scale * estimate.high)
        return Row(subject, quantity, scale * estimate.value, published, interval, unit)

    return [
        Row(subject, "distance", d.value, interval=(d.low, d.high), remark=text(own)),
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
    """Describes the design in one line."""
    array = candidate.design
    final = f", {array.final_adder} final adder" if array.has_final_adder else ""
    tile = f", tiles of {array.tile}" if array.tile else ""
    return f"{array.topology}{tile}, ports {array.ports}, {array.half_adders} half adders{final}, {_map(candidate)}"


def _map(candidate: Candidate) -> str:
    """Describes which cells the design has where."""
    if candidate.space.granularity != "tiles":
        return str(candidate.design.placement.describe())
    rows = [" ".join(cell.name for cell in row) for row in candidate.design.placement.cells]
    return f"X tiles from the low one, each by Y tiles: {' / '.join(rows)}"
