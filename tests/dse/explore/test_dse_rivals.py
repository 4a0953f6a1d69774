"""What a search skips because it cannot matter: bounds, waves, screens, and that the front stays the same."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits import CELLS, Design, design
from dse import COLUMNS, SCORERS, Processes, ScoreSettings, SearchOptions, SearchResult, Space, Store, load_run
from dse.explore.design_comparison import comparison_scorers
from dse.explore.front import non_dominated
from dse.explore.search_loop import search
from dse.explore.search_options import REFERENCES
from dse.explore.stored_runs import every_design, stored_result
from dse.explore.waves import waves
from dse.present.html_report import report
from dse.present.run_tables import exported
from dse.score.evaluation import Beaten, Evaluator, Failure, measure
from dse.score.rivals import Rivals, dominates

SETTINGS = ScoreSettings(images=400, attack_images=2, samples=2000, cost_samples=64)
SPACE = Space(
    name="mixed",
    topologies=("ripple_array", "carry_save_array"),
    ports=("psc", "scp"),
    bands=(0, 24, 36, 42),
    cells=(CELLS["exact"], CELLS["ama4"], CELLS["ama5"]),
    half_adders=("cell",),
    final_adders=("exact",),
)
OBJECTIVES = ("energy", "delay", "accuracy_loss")

_points = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=12)


def options(seed: int, budget: int = 20, **changed: object) -> SearchOptions:
    chosen = SearchOptions(
        space=SPACE, objectives=OBJECTIVES, population=8, budget=budget, seed=seed, method="nsga2", settings=SETTINGS
    )
    return dataclasses.replace(chosen, **changed)


def columns(*names: str) -> tuple:
    return tuple(COLUMNS[name] for name in names)


def test_a_missing_objective_counts_as_the_best_that_it_can_be() -> None:
    rivals = Rivals(columns("energy", "accuracy_loss")).joined_by("first", (10.0, 0.0))
    assert rivals.bound({"energy": 12.0}) == (12.0, 0.0)
    assert rivals.over({"energy": 12.0}) == "first"
    assert rivals.over({"energy": 10.0}) is None  # an equal design is on the front together with it
    assert rivals.over({"energy": 9.0}) is None
    assert rivals.over({"energy": 10.0, "accuracy_loss": 0.5}) == "first"
    assert rivals.over({"energy": math.nan}) is None
    # A rival that loses something never beats what might lose nothing.
    lossy = Rivals(columns("energy", "accuracy_loss")).joined_by("lossy", (1.0, 0.05))
    assert lossy.over({"energy": 12.0}) is None
    # Larger is better: the bound of a share is 100 %, negated.
    robust = Rivals(columns("energy", "adaptive_robustness")).joined_by("best", (10.0, -100.0))
    assert robust.bound({"energy": 12.0}) == (12.0, -100.0)
    assert robust.over({"energy": 12.0}) == "best"
    # A column without a limit may turn out to be anything.
    assert Rivals(columns("energy", "area")).joined_by("small", (1.0, 1.0)).over({"energy": 2.0}) is None


@given(_points)
def test_rivals_are_the_front_of_what_joined_them(points: list[tuple[float, ...]]) -> None:
    rivals = Rivals(columns(*OBJECTIVES))
    for index, point in enumerate(points):
        rivals = rivals.joined_by(str(index), point)
    assert rivals.joined_by("undefined", (math.nan, 0, 0)) == rivals
    front = {index for index, best in enumerate(non_dominated(points)) if best}
    assert {int(label) for label, _ in rivals.members} == front


@given(_points)
def test_what_can_spare_a_design_comes_in_an_earlier_wave(points: list[tuple[float, ...]]) -> None:
    wave_of = {index: number for number, wave in enumerate(waves(points)) for index in wave}
    assert sorted(wave_of) == list(range(len(points)))
    for one in wave_of:
        for other in wave_of:
            if dominates(points[one], points[other]):
                assert wave_of[one] < wave_of[other]


def test_an_undefined_value_is_in_the_first_wave() -> None:
    assert waves([(1.0, 1.0), (2.0, 2.0), (math.nan, 3.0)]) == [[0, 2], [1]]
    assert waves([]) == []


def test_the_loss_is_never_negative_and_the_signed_one_stays() -> None:
    accuracy = SCORERS["accuracy"]
    settings = dataclasses.replace(SETTINGS, images=20)
    screen = {"images": 20.0, "images_seen": 5.0, "images_right": 2.0, "images_right_exact": 19.0}
    assert accuracy.screens(settings) == ()
    (first,) = accuracy.screens(SETTINGS)
    assert first.name == "accuracy_200"
    assert first.bounds is not None
    # 17 of 20 right at best, 19 with exact products.
    assert first.bounds(screen) == {"accuracy": 85.0, "accuracy_loss": 10.0, "signed_loss": 10.0}
    assert first.bounds({**screen, "images_right_exact": 16.0})["accuracy_loss"] == 0
    assert first.bounds({**screen, "images_right_exact": 16.0})["signed_loss"] == -5
    scores = accuracy.measure(SPACE.decode(SPACE.uniform()[0]), SETTINGS)
    assert scores["accuracy_loss"] == max(0.0, scores["signed_loss"])
    assert scores["signed_loss"] == pytest.approx(100 * (scores["images_lost"] - scores["images_gained"]) / 400)
    seen = first.measure(SPACE.decode(SPACE.uniform()[0]), SETTINGS)
    bounds = first.bounds(seen)
    assert bounds["accuracy"] >= scores["accuracy"]
    assert bounds["signed_loss"] <= scores["signed_loss"]


def facts(result: SearchResult) -> tuple:
    return (
        [(row.design.cost_digest, dict(row.scores)) for row in result.rows],
        [row.design.cost_digest for row in result.front],
        [(entry.row.design.cost_digest, dict(entry.row.scores), entry.reason) for entry in result.beaten],
    )


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the scores of the reference designs, which take longer than a small search."""
    path = tmp_path_factory.mktemp("references") / "store.sqlite"
    with Store(path) as store:
        Evaluator(store, Processes(measure, 1), SETTINGS).score([*map(design, REFERENCES)], comparison_scorers())
    return path


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_measuring_what_was_skipped_adds_nothing_to_the_front(tmp_path: Path, references: Path, seed: int) -> None:
    with Store(shutil.copy(references, tmp_path)) as store:
        result = search(options(seed), store)
        assert result.beaten
        assert not any("accuracy" in entry.row.scores for entry in result.beaten)
        evaluator = Evaluator(store, Processes(measure, 1), SETTINGS)
        chosen = [entry.design for entry in every_design(result)]
        assert len(chosen) == 20
        whole = evaluator.score(chosen, result.question.scorers)
        points = {}
        for entry, scores in zip(chosen, whole, strict=True):
            assert not isinstance(scores, Failure)
            points[entry.cost_digest] = tuple(scores[name] for name in OBJECTIVES)
        best = [key for key, good in zip(points, non_dominated(list(points.values())), strict=True) if good]
        assert set(best) == {row.design.cost_digest for row in result.front}
        # Scores stored since then change neither this run as it is read again nor the same search started anew.
        assert facts(stored_result(store, store.run(result.record.run)) or result) == facts(result)
        store._write(("UPDATE runs SET finished = NULL", [()]), ("DELETE FROM run_designs", [()]))
        assert facts(search(options(seed), store)) == facts(result)


@pytest.mark.slow
def test_what_is_skipped_does_not_depend_on_the_workers_and_is_shown(tmp_path: Path, references: Path) -> None:
    chosen = options(5, budget=12)
    with Store(shutil.copy(references, tmp_path)) as store:
        result = search(chosen, store)
    with Store(shutil.copy(references, tmp_path / "other.sqlite")) as store:
        assert facts(search(chosen, store, Processes(measure, 2))) == facts(result)
    assert result.scored == 12
    for entry in result.beaten:
        assert entry.reason.startswith("dominated by ")
        assert entry.reason.endswith(" pp; not measured: accuracy")
        assert entry.reason in report(result)
        assert entry.reason in exported(result, designs="all", format="json")[0]
    table = load_run(tmp_path / "store.sqlite")
    skipped = table[table["skipped"] != ""]
    assert len(skipped) == len(result.beaten)
    assert result.beaten
    assert skipped["accuracy_loss"].isna().all()
    assert skipped["energy"].notna().all()


@pytest.mark.slow
def test_a_design_is_dropped_on_its_first_images_only_if_it_stays_dominated(tmp_path: Path) -> None:
    """The rivals' losses are just below and just above the least loss that the first 200 images leave possible."""
    bad = Design(placement=CELLS["ama1"])
    (screen,) = SCORERS["accuracy"].screens(SETTINGS)
    assert screen.bounds is not None
    possible = screen.bounds(screen.measure(bad, SETTINGS))["accuracy_loss"]
    assert possible > 1
    scorers = tuple(SCORERS[name] for name in ("error", "cost", "accuracy"))
    with Store(tmp_path / "store.sqlite") as store:
        evaluator = Evaluator(store, Processes(measure, 1), SETTINGS)
        none = Rivals(columns(*OBJECTIVES))
        (dropped,) = evaluator.score_against(none.joined_by("good", (0.0, 0.0, possible - 0.5)), [bad], scorers)
        assert isinstance(dropped, Beaten)
        assert (dropped.rival, dropped.bounds["accuracy_loss"]) == ("good", possible)
        (kept,) = evaluator.score_against(none.joined_by("good", (0.0, 0.0, possible + 0.5)), [bad], scorers)
        assert not isinstance(kept, (Beaten, Failure))
        assert kept["accuracy_loss"] >= possible
        # The whole score is stored by now, and the answer to the first question is the same.
        again = evaluator.score_against(none.joined_by("good", (0.0, 0.0, possible - 0.5)), [bad], scorers)
        assert again == [dropped]
