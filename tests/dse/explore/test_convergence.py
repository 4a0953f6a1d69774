"""The hypervolume against independent computations, and the convergence of a stored run."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymoo.indicators.hv import Hypervolume

from circuits import CELLS
from dse import ScoreSettings, SearchOptions, SearchResult, Space, Store, load_run, run_search
from dse.explore.convergence import convergence, landmarks
from dse.explore.front import non_dominated
from dse.explore.hypervolume import hypervolume
from dse.explore.stored_runs import require_result
from dse.present.convergence_plot import convergence_text

SPACE = Space(
    name="few",
    formats=("bfloat16",),
    ports=("psc", "csp"),
    cells=tuple(CELLS[name] for name in ("exact", "ama1", "ama5")),
    bands=(0, 10),
)
SETTINGS = ScoreSettings(images=10, attack_images=1, samples=500, cost_samples=64)


def options(budget: int = 24, **changed: object) -> SearchOptions:
    arguments = {"objectives": ("energy", "delay", "nmed"), "settings": SETTINGS, "method": "random", **changed}
    return SearchOptions(space=SPACE, budget=budget, references=("exact",), **arguments)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SearchResult]:
    folder = tmp_path_factory.mktemp("searched")
    return folder, run_search(options(), out=folder)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=9))
def test_hypervolume_counts_the_cells_that_integer_points_dominate(points: list[tuple[int, ...]]) -> None:
    cells = itertools.product(range(4), repeat=3)
    dominated = sum(any(all(a <= b for a, b in zip(point, cell, strict=True)) for point in points) for cell in cells)
    assert hypervolume(points, (4, 4, 4)) == pytest.approx(dominated)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_hypervolume_agrees_with_pymoo(objectives: int) -> None:
    points = np.random.default_rng(objectives).random((40, objectives)) * 1.2
    expected = Hypervolume(ref_point=np.ones(objectives))(points[non_dominated(points)])
    assert hypervolume(points) == pytest.approx(float(expected))


def test_the_hypervolume_counts_points_inside_the_reference_only_once() -> None:
    assert hypervolume([]) == 0
    assert hypervolume([[1.0, 0.5], [2.0, 0.0]]) == 0
    assert hypervolume([[0.5, 0.5], [0.5, 0.5]]) == 0.25


@pytest.mark.slow
def test_the_convergence_is_kept_with_the_run_and_written(searched: tuple[Path, SearchResult]) -> None:
    folder, result = searched
    curve = convergence(result)
    counts, volumes = zip(*curve, strict=True)
    assert list(counts) == sorted(counts)
    assert counts[-1] == result.scored == 24
    assert list(volumes) == sorted(volumes)
    assert 0 < volumes[-1] <= 1
    with Store(folder / "store.sqlite", read_only=True) as store:
        assert convergence(require_result(store, "last")) == curve
    with (folder / "convergence.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["evaluations"]), float(row["hypervolume"])) for row in rows] == curve
    assert (folder / "convergence.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "convergence.svg").exists()
    assert f"{volumes[-1]:.4f} after 24 designs" in convergence_text(curve)


@pytest.mark.slow
def test_the_hypervolume_is_that_of_the_designs_so_far(searched: tuple[Path, SearchResult]) -> None:
    """Computed again from the table of `load_run`, whose rows are in another order."""
    folder, result = searched
    assert load_run(folder).attrs["convergence"] == convergence(result)
    table = load_run(folder).query("not reference").set_index("cost_digest")
    values = table.loc[list(result.order), ["energy", "delay", "nmed"]].to_numpy(copy=True)
    values[:, 2] = np.log10(np.maximum(values[:, 2], 1e-9 * values[:, 2].max()))
    scaled = (values - values.min(axis=0)) / np.ptp(values, axis=0)
    for count, volume in convergence(result):
        assert volume == pytest.approx(hypervolume(scaled[:count]))
        assert count in (1, 24) or hypervolume(scaled[: count - 1]) < volume


@pytest.mark.slow
def test_without_a_valid_design_there_is_no_curve(tmp_path: Path) -> None:
    result = run_search(options(8, constraints=("energy<=0",)), out=tmp_path)
    assert convergence(result) == []
    assert not (tmp_path / "convergence.csv").exists()


def test_landmarks_are_quarters_of_the_evaluations() -> None:
    curve = [(1, 0.1), (5, 0.4), (7, 0.5), (10, 0.5)]
    assert landmarks(curve) == [(2, 0.1), (5, 0.4), (7, 0.5), (10, 0.5)]
    assert landmarks([(1, 0.0), (1, 0.0)]) == [(1, 0.0)]
