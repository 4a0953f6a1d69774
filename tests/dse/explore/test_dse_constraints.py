"""Constraints: how they are read and refused, how far they are broken, and that what they rule out is not measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from circuits import CELLS, Design, DesignError, UnknownNameError
from dse import COLUMNS, SCORERS, Processes, Scorer, ScoreSettings, SearchOptions, Space, Store
from dse.explore.search_loop import search
from dse.explore.stored_runs import stored_result
from dse.score import evaluation
from dse.score.constraints import Constraint, broken, constraints, violations
from dse.score.evaluation import Evaluator, measure

SETTINGS = ScoreSettings(images=5, attack_images=2, samples=2000, cost_samples=64)
SPACE = Space(
    name="small",
    topologies=("ripple_array",),
    ports=("psc", "scp"),
    bands=(0, 24, 40),
    cells=(CELLS["exact"], CELLS["ama4"], CELLS["ama5"]),
    half_adders=("cell",),
)


@pytest.mark.parametrize(
    ("text", "name", "relation", "bound"),
    [
        ("accuracy_loss<=0.5", "accuracy_loss", "<=", 0.5),
        (" adaptive_robustness >= 1e1 ", "adaptive_robustness", ">=", 10.0),
        ("accuracy_loss<=-.5", "accuracy_loss", "<=", -0.5),
    ],
)
def test_a_constraint_is_a_column_a_relation_and_a_number(text: str, name: str, relation: str, bound: float) -> None:
    assert Constraint.parse(text) == Constraint(COLUMNS[name], relation, bound)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("energy", "a constraint must be NAME<=NUMBER or NAME>=NUMBER, but got 'energy'; correct it."),
        ("energy<3", "a constraint must be NAME<=NUMBER or NAME>=NUMBER, but got 'energy<3'; correct it."),
        ("<=3", "a constraint must be NAME<=NUMBER or NAME>=NUMBER, but got '<=3'; correct it."),
        (
            "energy<=nan",
            "the bound of a constraint must be a finite number without a unit (energy is in fJ), but got 'nan' in "
            "'energy<=nan'; correct it.",
        ),
        (
            "accuracy_loss<=1e999",
            "the bound of a constraint must be a finite number without a unit (accuracy_loss is in pp), but got "
            "'1e999' in 'accuracy_loss<=1e999'; correct it.",
        ),
        (
            "nmed<=1%",
            "the bound of a constraint must be a finite number without a unit (nmed is a ratio), but got '1%' in "
            "'nmed<=1%'; correct it.",
        ),
    ],
)
def test_a_bad_constraint_is_refused(text: str, message: str) -> None:
    with pytest.raises(DesignError) as caught:
        constraints([text])
    assert str(caught.value) == message


def test_an_unknown_column_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown column 'delai'; nearest: delay\."):
        constraints(["delai<=3"])


def test_constraints_that_leave_nothing_are_refused() -> None:
    with pytest.raises(DesignError) as caught:
        constraints(["delay<=3", "energy<=1", "delay>=4"])
    assert str(caught.value) == ("constraints on delay must leave it a value, but got delay>=4 and delay<=3; drop one.")


def test_violations_are_relative_and_undefined_scores_break() -> None:
    limits = constraints(["energy<=100", "accuracy>=50", "delay<=7"])
    assert [str(limit) for limit in limits] == ["accuracy>=50", "delay<=7", "energy<=100"]
    assert violations(limits, {"energy": 150.0, "accuracy": 50.0}) == [0.0, 0.0, 0.5]
    assert violations(limits, {"energy": 100.0, "accuracy": 40.0, "delay": math.nan}) == [0.2, math.inf, 0.0]
    assert [str(limit) for limit in broken(limits, {"energy": 101.0})] == ["energy<=100"]


class _Counting:
    """Scorers that record what they measure; those of networks invent their scores."""

    def __init__(self) -> None:
        self.measured: list[tuple[str, str]] = []
        self.table = {name: self._wrapped(scorer) for name, scorer in SCORERS.items()}

    def _wrapped(self, scorer: Scorer) -> Scorer:
        def run(design: Design, settings: ScoreSettings) -> dict[str, float]:
            self.measured.append((scorer.name, design.cost_digest))
            if scorer.cost == "cheap":
                return scorer.measure(design, settings)
            return {column.name: float(int(design.digest[:6], 16) % 97) for column in scorer.columns}

        return dataclasses.replace(scorer, measure=run)

    def network(self) -> set[str]:
        return {digest for name, digest in self.measured if SCORERS[name].cost == "network"}


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> _Counting:
    scorers = _Counting()
    monkeypatch.setattr(evaluation, "SCORERS", scorers.table)
    return scorers


def run(path: Path, texts: Sequence[str], method: str, seed: int = 3) -> SearchOptions:
    return SearchOptions(
        space=SPACE,
        objectives=(COLUMNS["energy"], COLUMNS["accuracy_loss"]),
        constraints=constraints(texts),
        population=8,
        budget=200 if method == "exhaustive" else 24,
        seed=seed,
        method=method,
        settings=SETTINGS,
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["exhaustive", "nsga2", "random"])
def test_what_a_cheap_score_rules_out_is_not_sent_to_the_network(
    tmp_path: Path, counting: _Counting, method: str
) -> None:
    options = run(tmp_path, ["delay<=2000"], method)
    with Store(tmp_path / "store.sqlite") as store:
        result = search(options, store)
        assert result.ruled_out
        assert result.front
        late = {entry.row.design.cost_digest for entry in result.ruled_out}
        shown = {row.design.cost_digest for row in result.references}
        assert not (late - shown) & counting.network()
        for entry in result.ruled_out:
            assert entry.row.scores["delay"] > 2000
            assert "accuracy_loss" not in entry.row.scores
            assert entry.reason == f"delay<=2000 (it has {entry.row.scores['delay']:,.0f}); not measured: accuracy"
        kept = {row.design.cost_digest: row for row in result.rows}
        assert not late & set(kept)
        assert all(row.scores["delay"] <= 2000 for row in kept.values())
        # The front is that of what is left.
        goals = {key: (row.scores["energy"], row.scores["accuracy_loss"]) for key, row in kept.items()}
        best = {
            key
            for key, goal in goals.items()
            if not any(
                other != goal and all(a <= b for a, b in zip(other, goal, strict=True)) for other in goals.values()
            )
        }
        assert {row.design.cost_digest for row in result.front} == best
        # The store keeps what was skipped and why, and gives the same result again.
        members = store.members(result.record.run)
        assert members is not None
        assert {m.design.cost_digest: m.skipped for m in members if m.skipped} == result.reasons
        assert not late & {entry.row.design.cost_digest for entry in result.beaten}
        again = stored_result(store, store.run(result.record.run))
        assert again is not None
        assert again.ruled_out == result.ruled_out
        assert again.front == result.front


def test_a_constraint_on_the_network_stops_later_scorers(tmp_path: Path, counting: _Counting) -> None:
    limits = constraints(["accuracy_loss<=40"])
    designs = [SPACE.decode(genome) for genome in SPACE.uniform()]
    with Store(tmp_path / "store.sqlite") as store:
        evaluator = Evaluator(store, Processes(measure, 1), SETTINGS)
        found = evaluator.score(designs, tuple(SCORERS.values()), limits=limits)
        for entry, scores in zip(designs, found, strict=True):
            assert isinstance(scores, dict)
            assert ("adaptive_robustness" in scores) == (int(entry.digest[:6], 16) % 97 <= 40)
        before = len(counting.measured)
        assert evaluator.score(designs, tuple(SCORERS.values()), limits=limits) == found
        assert len(counting.measured) == before
        # Without the limit the rest is measured, and what is there is kept.
        whole = evaluator.score(designs, tuple(SCORERS.values()))
        assert all("adaptive_robustness" in scores for scores in whole if isinstance(scores, dict))
        stopped = [scores for scores in found if isinstance(scores, dict) and "transfer_rate" not in scores]
        assert len(counting.measured) == before + len(stopped) * [*SCORERS][::-1].index("accuracy")


def test_designs_that_behave_alike_share_scores_although_one_is_ruled_out(tmp_path: Path, counting: _Counting) -> None:
    # InXA3 equals AMA2 logically (FACTS 1) and has fewer transistors.
    one, other = Design(placement=CELLS["ama2"]), Design(placement=CELLS["inxa3"])
    assert one.digest == other.digest
    with Store(tmp_path / "store.sqlite") as store:
        evaluator = Evaluator(store, Processes(measure, 1), SETTINGS)
        needed = tuple(SCORERS[name] for name in ("error", "cost", "accuracy"))
        counts = [
            scores["transistors"] for scores in evaluator.score([one, other], needed[1:2]) if isinstance(scores, dict)
        ]
        limits = constraints([f"transistors<={min(counts):.0f}"])
        found = evaluator.score([one, other], needed, limits=limits)
        assert [isinstance(scores, dict) and "accuracy" in scores for scores in found] == [
            count == min(counts) for count in counts
        ]


def test_a_search_in_which_no_design_meets_the_constraints_has_an_empty_front(
    tmp_path: Path, counting: _Counting
) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        result = search(run(tmp_path, ["delay<=1"], "nsga2"), store)
    assert (result.front, result.rows, result.failures) == ((), (), ())
    assert len(result.ruled_out) == 24


def test_an_asynchronous_search_scores_the_budget_and_keeps_the_constraints(
    tmp_path: Path, counting: _Counting
) -> None:
    options = dataclasses.replace(run(tmp_path, ["delay<=2500"], "nsga2"), asynchronous=True)
    with Store(tmp_path / "store.sqlite") as store:
        result = search(options, store)
        assert result.scored + len(result.ruled_out) == 24
        assert len({row.design.cost_digest for row in result.rows}) == len(result.rows)
        assert result.front
        assert all(row.scores["delay"] <= 2500 for row in result.front)
        assert stored_result(store, store.run(result.record.run)) is not None
