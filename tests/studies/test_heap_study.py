"""HEAP's reconstruction: the fast screen, distance and ties, the search on a small space, the named design."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits import CELLS, Design, DesignError, Estimate, cost_report, design, error_metrics
from dse import Space
from dse.score.fast_screen import Screen
from dse.space.search_space import Genome
from studies.frame.study import StudyOptions
from studies.own import heap
from studies.own.heap import Candidate, Level, distance

SMALL = Space(
    name="small",
    granularity="rows",
    topologies=("ripple_array", "carry_save_array"),
    ports=("psc", "csp"),
    bands=(0, 14, 20),
    cells=(CELLS["exact"], CELLS["ama1"], CELLS["ama4"]),
    half_adders=("cell",),
)


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(heap.SPACES), st.data())
def test_the_screen_gives_the_products_of_the_design(space: Space, data: st.DataObject) -> None:
    genome = data.draw(st.tuples(*(st.integers(0, bound - 1) for bound in space.bounds)))
    other = (*genome[:4], *data.draw(st.tuples(*(st.integers(0, bound - 1) for bound in space.bounds[4:]))))
    screen = Screen(space.array(other), samples=1500, seed=7)
    subject = space.array(genome)
    found = screen.fingerprint(subject)
    expected = error_metrics(subject, samples=1500, seed=7, threads=1, backend="interpreted")
    assert found.nmed == pytest.approx(expected.nmed.value, rel=1e-12)
    assert found.larger == expected.larger.value
    assert found.samples == 1500


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Screen(design("exact"), samples=600),
            "a screen needs generated float32 designs that truncate and flush subnormals, but got exact; use "
            "error_metrics.",
        ),
        (
            lambda: Screen(design("axfpm"), samples=600).fingerprint(design("axfpm_tiled")),
            "a screened design must have the screen's structure, but got axfpm_tiled.",
        ),
    ],
)
def test_what_a_screen_does_not_serve_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(DesignError) as caught:
        call()
    assert str(caught.value) == message


def test_the_distance_is_that_in_units_of_the_published_errors() -> None:
    assert distance(0.03, 0.34) == 0
    assert distance(0.033, 0.34) == pytest.approx(0.1)
    assert distance(0.03, 0.17) == pytest.approx(0.5)
    assert distance(0.039, 0.476) == pytest.approx(0.5)  # 0.3 and 0.4


def candidate(nmed: tuple[float, float], larger: tuple[float, float], cells: Genome = (0, 1, 1)) -> Candidate:
    """A design of SMALL with the given intervals of its errors, their middles as values."""
    genome = (1, 1, 0, 0, *cells)
    some = error_metrics(SMALL.array(genome), samples=100)
    estimates = {name: Estimate(sum(ends) / 2, *ends) for name, ends in (("nmed", nmed), ("larger", larger))}
    return Candidate(SMALL, genome, replace(some, **estimates))


@pytest.mark.parametrize(
    ("nmed", "larger", "low", "high"),
    [
        ((0.0297, 0.0303), (0.3332, 0.3468), 0.0, math.hypot(0.01, 0.02)),
        ((0.033, 0.036), (0.3332, 0.3468), 0.1, math.hypot(0.2, 0.02)),
        ((0.033, 0.036), (0.17, 0.272), math.hypot(0.1, 0.2), math.hypot(0.2, 0.5)),
    ],
)
def test_the_interval_of_the_distance_spans_the_box(
    nmed: tuple[float, float], larger: tuple[float, float], low: float, high: float
) -> None:
    far = candidate(nmed, larger).distance
    assert (far.low, far.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high))
    assert far.low <= far.value <= far.high


def test_ties_go_to_fewest_cells_then_lowest_energy() -> None:
    near, apart = (0.0300, 0.0302), (0.0330, 0.0332)
    share = (0.3399, 0.3401)
    three = candidate((0.0299, 0.0301), share, (0, 1, 2))
    ranked = [three, candidate(near, share, (0, 1, 1)), candidate(near, share, (2, 1, 1)), candidate(apart, share)]
    tied = heap.ties(ranked)
    assert len(tied) == 3
    assert [entry.cells for entry in tied] == [2, 2, 3]
    # AMA4 in the low rows spends less than exact cells there.
    assert tied[0].genome[4:] == (2, 1, 1)
    assert tied[0].energy < tied[1].energy
    assert tied[2] is three


@pytest.mark.slow
def test_the_search_finds_what_exhaustion_finds() -> None:
    found = heap.search(Level(((2048, 40), (8192, 10)), 60_000), spaces=(SMALL,))
    everything: dict[str, tuple[float, Design]] = {}
    for topology, ports, final, *cells in product(
        ("ripple_array", "carry_save_array"), ("psc", "csp"), ("exact", "cell"), *[("exact", "ama1", "ama4")] * 3
    ):
        if len(set(cells)) == 1:
            continue
        rows = [cells[0]] * 14 + [cells[1]] * 6 + [cells[2]] * 5
        entry = Design(topology=topology, ports=ports, final_adder=final, placement={"rows": rows})
        errors = error_metrics(entry, samples=60_000, threads=1, backend="interpreted")
        far = math.sqrt((errors.nmed.value / 0.03 - 1) ** 2 + (errors.larger.value / 0.34 - 1) ** 2)
        everything.setdefault(entry.digest, (far, entry))
    nearest = min(far for far, _ in everything.values())
    # 3^3 - 3 choices of cells. A ripple array has no final adder; exact cells there are the exact final adder.
    assert found.sizes == {"small": 24 * 2 * (1 + 2)}
    assert len(everything) == 144 - 16
    assert found.ranked[0].distance.value == pytest.approx(nearest)
    for entry in found.ranked:
        assert entry.distance.value == pytest.approx(everything[entry.design.digest][0])
    assert len({entry.design.digest for entry in found.ranked}) == 10
    assert found.winner.design.digest in {entry.design.digest for entry in found.tied}
    assert [entry.distance.value for entry in found.ranked] == sorted(entry.distance.value for entry in found.ranked)
    assert [samples for samples, _, _ in found.cuts] == [2048, 8192]


@pytest.mark.slow
def test_the_study_prints_space_distance_and_runners_up(monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = replace(heap.SPACES[-1], topologies=("carry_save_array",), ports=("scp",), cells=SMALL.cells[:2])
    monkeypatch.setattr(heap, "SPACES", (SMALL, replace(tiles, half_adders=("exact",))))
    monkeypatch.setitem(heap.LEVELS, "default", Level(((512, 12),), 3000))
    result = heap.run(StudyOptions())
    values = {(row.subject, row.quantity): row for row in result.rows}
    assert values["space", "heterogeneous genomes, small"].measured == 144
    assert values["space", "heterogeneous genomes, tiles"].measured == 2 * (2**4 - 2)
    found = heap.search(heap.LEVELS["default"], spaces=heap.SPACES)
    own = found.winner.design.label
    assert values[own, "NMED"].published == 0.03
    assert values[own, "larger than exact"].measured == 100 * found.winner.errors.larger.value
    assert values[own, "energy / exact, as drawn, zero delay"].measured == pytest.approx(
        cost_report(found.winner.design, samples=2049).ratio("energy")
    )
    ranks = [row.measured for row in result.rows if row.subject.startswith("rank")]
    assert ranks == [entry.distance.value for entry in found.ranked[:8]]
    assert "another design than heap" in result.reason
    assert result.settings["spaces"][0].startswith("small: ")
    assert '"rounds": [' in result.to_json()


def test_neighbours_differ_in_one_gene_and_in_their_circuit() -> None:
    genome = (0, 1, 0, 0, 0, 1, 1)
    found = heap.neighbours(SMALL, genome)
    for other in found:
        assert sum(one != another for one, another in zip(genome, other, strict=True)) == 1
        assert len(set(other[4:])) > 1
    # Topology, ports, and for each of the three cells every other one unless it makes the array uniform; a ripple array
    # has no final adder.
    assert len(found) == 1 + 1 + (1 + 2 + 2)
