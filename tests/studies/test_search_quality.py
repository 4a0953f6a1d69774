"""The parts of study search_quality that are new searches: rows of a large space and of skipped designs."""

from __future__ import annotations

import math

import pytest

from circuits import CELLS
from dse import ScoreSettings, SearchOptions, Space
from studies.rows.large_space_rows import LARGE_SPACE, Level, large_space_rows, large_space_text
from studies.rows.skipped_rows import skipped_rows, skipped_text

CELL_CHOICE = tuple(CELLS[name] for name in ("exact", "ama1", "ama5"))


@pytest.mark.slow
def test_methods_are_compared_in_a_space_of_more_than_a_thousand_million_designs() -> None:
    assert LARGE_SPACE.size > 10**9
    level = Level(seeds=(0, 1), budgets={"random": 60, "nsga2": 60, "surrogate": 80}, checkpoints=(40, 60))
    rows = large_space_rows(level)
    text = large_space_text(rows, level)
    measured = {(row.subject, row.quantity): row.measured for row in rows}
    assert len(measured) == len(rows) == 1 + 3 * 2 * 3 + 3
    for method in level.budgets:
        for seed in level.seeds:
            early, late = (measured[method, f"hypervolume after {count}, seed {seed}"] for count in (40, 60))
            assert 0 < early <= late < 1
        assert measured[method, "hypervolume after 60, median"] == pytest.approx(
            sum(measured[method, f"hypervolume after 60, seed {seed}"] for seed in level.seeds) / 2
        )
    needed = [row for row in rows if row.quantity.startswith("evaluations until")]
    assert all(20 <= row.measured <= 80 and math.isfinite(row.measured) for row in needed)
    assert "the surrogate reaches NSGA-II's hypervolume after 60 evaluations" in text


@pytest.mark.slow
def test_skipped_designs_are_scored_afterwards() -> None:
    options = SearchOptions(
        space=Space(name="few", formats=("bfloat16",), ports=("psc", "scp"), bands=(0, 8), cells=CELL_CHOICE),
        budget=12,
        method="random",
        references=("exact",),
        settings=ScoreSettings(images=400, attack_images=1, samples=500, cost_samples=64),
    )
    rows = skipped_rows(options)
    assert [row.quantity for row in rows] == ["designs skipped", "of them on the front when scored"]
    assert rows[0].measured > 0
    assert rows[1].measured == 0
    text = skipped_text([*rows, *rows])
    assert text == (
        f"of {2 * rows[0].measured} designs that 2 default searches skipped, none would have joined the front."
    )
