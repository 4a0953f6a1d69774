"""A store written by an earlier version of the program reads as it was, and the same options find its runs.

earlier_store/ holds three runs (NSGA-II with a cell of the user's and a constraint, random rows, two layers), and what
the program that made them said of them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from circuits import CELLS, AdderCell
from dse import ScoreSettings, SearchOptions, Space, Store, load_run, run_search
from dse.explore.search_loop import search
from dse.explore.stored_runs import require_result
from dse.present.score_table import front_csv

EARLIER = Path(__file__).parent / "earlier_store"
EXPECTED: dict[str, Any] = json.loads((EARLIER / "expected.json").read_text())
SETTINGS = ScoreSettings(images=10, attack_images=2, samples=2000, cost_samples=64)
CELL_NAMES = tuple(CELLS[name] for name in ("exact", "ama5", "ama2"))


def space(name: str, **fields: Any) -> Space:
    common: dict[str, Any] = {"topologies": ("ripple_array",), "ports": ("psc", "scp"), "half_adders": ("cell",)}
    return Space(name=name, **{**common, "cells": CELL_NAMES, **fields})


OPTIONS = {
    "nsga2": SearchOptions(
        space=space("with_own_cell", bands=(0, 24, 36), final_adders=("exact",)).with_cells(
            {"mine": AdderCell("mine", "01010101", "00110011")}
        ),
        objectives=["energy", "nmed", "accuracy_loss"],
        constraints=["delay<=2500"],
        population=6,
        budget=12,
        seed=5,
        method="nsga2",
        settings=SETTINGS,
    ),
    "random": SearchOptions(
        space=space("rows", granularity="rows", bands=(0, 8, 16)),
        objectives=["energy", "mred"],
        budget=8,
        seed=2,
        method="random",
        settings=SETTINGS,
    ),
    "layers": SearchOptions(
        space=space(
            "two_layers",
            layers=(("conv1", 86_400), ("conv2", 153_600)),
            ports=("psc",),
            final_adders=("exact",),
            cells=CELL_NAMES[:2],
        ),
        objectives=["area", "nmed"],
        budget=4,
        settings=SETTINGS,
    ),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copy(EARLIER / "store.sqlite", tmp_path / "store.sqlite"))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_run_of_an_earlier_version_reads_as_it_was(path: Path, name: str) -> None:
    expected = EXPECTED[name]
    with Store(path, read_only=True) as store:
        result = require_result(store, expected["run"])
    assert [row.design.cost_digest for row in result.front] == expected["front"]
    assert [[row.design.cost_digest, row.design.digest] for row in result.rows] == expected["rows"]
    assert [[entry.row.design.cost_digest, entry.reason] for entry in result.ruled_out] == expected["ruled_out"]
    assert [[entry.row.design.cost_digest, entry.reason] for entry in result.beaten] == expected["beaten"]
    assert [row.name for row in result.references] == expected["references"]
    assert front_csv(result.front, result.objectives, result.columns) == expected["csv"]


@pytest.mark.parametrize("name", ["random", "layers"])
def test_the_same_options_find_the_run_and_compute_nothing(path: Path, name: str) -> None:
    with Store(path) as store:
        result = search(OPTIONS[name], store)
    assert result.record.run == EXPECTED[name]["run"]
    assert result.computed == 0


def test_a_search_with_skipped_designs_is_another_run_and_takes_the_stored_scores(path: Path) -> None:
    # Since version 5 of the search these rank by estimates, so that the record of an earlier run is no answer.
    with Store(path) as store:
        result = search(OPTIONS["nsga2"], store)
    assert result.record.run != EXPECTED["nsga2"]["run"]
    assert [row.design.cost_digest for row in result.front] == EXPECTED["nsga2"]["front"]
    assert result.computed == 0


@pytest.mark.parametrize("name", EXPECTED)
def test_a_search_started_anew_chooses_the_same_designs(path: Path, name: str) -> None:
    """The scores are in the store, but no record says that the run is finished."""
    with Store(path) as store:
        store._write(("UPDATE runs SET finished = NULL", [()]), ("DELETE FROM run_designs", [()]))
        result = run_search(OPTIONS[name], store=store)
    assert result.computed == 0
    assert [[row.design.cost_digest, row.design.digest] for row in result.rows] == EXPECTED[name]["rows"]
    assert [row.design.cost_digest for row in result.front] == EXPECTED[name]["front"]


def test_a_run_is_a_table_for_pandas_with_units(path: Path) -> None:
    expected = EXPECTED["nsga2"]
    frame = load_run(path, expected["run"][:12])
    designs = frame[~frame["reference"]]
    known = [*expected["rows"], *expected["ruled_out"], *expected["beaten"]]
    assert set(designs["cost_digest"]) == {cost_digest for cost_digest, _ in known}
    assert designs[designs["front"]]["cost_digest"].tolist() == expected["front"]
    ruled_out = {cost_digest for cost_digest, _ in expected["ruled_out"]}
    assert designs[designs["cost_digest"].isin(ruled_out)]["delay"].gt(2500).all()
    assert dict(designs[designs["skipped"] != ""][["cost_digest", "skipped"]].to_numpy().tolist()) == dict(
        [*expected["ruled_out"], *expected["beaten"]]
    )
    assert frame[frame["reference"]]["name"].tolist() == expected["references"]
    assert frame.attrs["run"] == expected["run"]
    assert (frame.attrs["units"]["energy"], frame.attrs["units"]["accuracy_loss"]) == ("fJ", "pp")
    assert frame.attrs["objectives"] == ["energy", "nmed", "accuracy_loss"]
    assert frame.attrs["constraints"] == ["delay<=2500"]
    # Details follow their column.
    columns = frame.columns.tolist()
    assert columns[:6] == ["name", "front", "reference", "skipped", "cost_digest", "nmed"]
    assert columns[6:8] == ["nmed_high", "nmed_low"]
    assert frame.index.name == "digest"
    assert load_run(path.parent, EXPECTED["layers"]["run"]).attrs["scopes"]["area"] == "sum of 2 layers"
