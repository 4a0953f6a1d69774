"""Study robust_search: the designs it looks through, the tests it makes and what they could have seen."""

from __future__ import annotations

import math

import numpy as np
import pytest

from circuits import design
from circuits.support.statistics import mcnemar
from cnn_eval import AdaptiveAttack, AuditSettings, load_model, predict
from cnn_eval.data.loading import load
from dse.space.per_layer import LayerDesigns
from studies.frame.study import Row, StudyOptions
from studies.own.robust import robust_search
from studies.own.robust.resistance import audited, searched, smallest_visible_gain
from studies.own.robust.robust_candidates import CONVOLUTIONS, EVOLVED, candidates
from studies.own.robust.robust_search import Size, best_of, conclude
from studies.rows.over_networks import Found, changed

BRIEF = AuditSettings(epsilon=0.1, apgd_steps=3, queries=20)


def test_candidates_are_of_every_group_different_and_the_same_again() -> None:
    drawn = candidates(40, seed=0)
    groups = {group for group, _ in drawn}
    assert len(groups) == 6
    assert EVOLVED in groups
    assert len({candidate.digest for _, candidate in drawn}) == len(drawn) == 40
    assert [candidate.digest for _, candidate in candidates(12, seed=0)] == [each.digest for _, each in drawn[:12]]
    by_layer = [candidate for _, candidate in drawn if isinstance(candidate, LayerDesigns)]
    assert by_layer
    assert {tuple(each.designs) for each in by_layer} == {("conv1", "conv2")}


def test_products_of_the_convolutions_are_those_of_lenet5() -> None:
    outputs = {}
    model = load_model("lenet5")
    for name in ("conv1", "conv2"):
        model.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: outputs.update(
                {name: output[0].numel() * module.weight[0].numel()}
            )
        )
    predict(model, load().images[:1])
    assert outputs == dict(CONVOLUTIONS)


def probability_of_rejection(pairs: int, share: float, level: float) -> float:
    stream = np.random.default_rng(3)
    gained = stream.binomial(pairs, share, 40_000)
    rejecting = {k for k in range(pairs + 1) if 2 * k > pairs and mcnemar(k, pairs - k) < level}
    return float(np.isin(gained, list(rejecting)).mean())


@pytest.mark.parametrize(("images", "differing", "level"), [(500, 0.2, 0.05), (1000, 0.08, 0.0005)])
def test_the_smallest_visible_gain_is_seen_four_times_in_five(images: int, differing: float, level: float) -> None:
    gain = smallest_visible_gain(images, differing, level)
    pairs = round(differing * images)
    share = (1 + gain / 100 * images / pairs) / 2
    assert probability_of_rejection(pairs, share, level) == pytest.approx(0.8, abs=0.01)
    assert smallest_visible_gain(images, differing, level / 10) > gain
    assert smallest_visible_gain(4 * images, differing, level) < gain


def test_too_few_images_see_nothing() -> None:
    assert math.isinf(smallest_visible_gain(40, 0.1, 0.05))  # 4 of 4 gained: p = .125
    assert math.isinf(smallest_visible_gain(40, 0.0, 0.05))


def score(number: int, points: float, remark: str = "on all search networks") -> Row:
    return Row(str(number), "search score", points, None, None, "points", remark)


def test_the_best_are_those_measured_on_all_networks_then_the_first() -> None:
    scores = [score(0, -3), score(1, 5, "surely worse"), score(2, 2), score(3, 2), score(4, -8)]
    assert best_of(scores, 3) == [2, 3, 0]
    assert best_of(scores, 5) == [2, 3, 0, 4, 1]


def size(networks: int) -> Size:
    return Size(10, 1, 5, AdaptiveAttack(), 2, networks, 200, BRIEF)


def difference(gained: int, lost: int, images: int = 200):  # type: ignore[no-untyped-def]
    place = np.arange(images)
    return changed(place < gained, (gained <= place) & (place < gained + lost))


@pytest.mark.parametrize(("wins_on", "counts"), [(5, True), (4, True), (3, False)])
def test_a_design_counts_if_it_wins_on_all_networks_but_one(wins_on: int, counts: bool) -> None:
    found: dict[str, Found] = {}
    for k in range(5):
        good = difference(30, 2) if k < wins_on else difference(6, 5)
        worse = difference(2, 30)  # as significant, the other way
        found[f"net{k}"] = {("good", robust_search.LESS_EXACT): good, ("bad", robust_search.LESS_EXACT): worse}
    rows, reason = conclude(found, size(5))
    wins = {row.subject: row.measured for row in rows if row.quantity == "wins, Holm over 10 tests"}
    assert wins == {"good": wins_on, "bad": 0}
    assert f"{'good' if counts else 'none'} wins on at least 4 of them (McNemar, Holm over 10 tests)" in reason
    power = next(row for row in rows if row.subject == "a test")
    differing = np.mean([[0.16 if k < wins_on else 0.055, 0.16] for k in range(5)])
    assert power.measured == pytest.approx(smallest_visible_gain(200, float(differing), 0.05 / 10))
    assert f"a gain of {power.measured:.1f} points or more on a network would have been seen" in reason


def test_holm_covers_all_tests() -> None:
    """p = .0313 would win alone (6 of 6 gained), and does not among two tests."""
    lone: dict[str, Found] = {"net0": {("a", robust_search.LESS_EXACT): difference(6, 0)}}
    assert conclude(lone, size(1))[1].split(": ")[1].startswith("a wins on at least 1 of them")
    lone["net0"]["b", robust_search.LESS_EXACT] = difference(5, 5)
    reason = conclude(lone, size(1))[1]
    assert "none wins on at least 1 of them" in reason
    assert "no gain at all could have been seen" not in reason


@pytest.mark.slow
def test_robust_images_survive_every_gradient_and_the_judge_is_the_design() -> None:
    images, labels = load().images[:12], load().labels[:12]
    attack = AdaptiveAttack(steps=3)
    released = design("axfpm_released")  # not commutative
    right = (predict(load_model("lenet5_plain"), images) == labels).numpy()
    exact = searched(None, "lenet5_plain", images, labels, attack)
    assert not (exact & ~right).any()
    assert audited(None, "lenet5_plain", images, labels, BRIEF).sum() <= right.sum()
    own = audited(released, "lenet5_plain", images, labels, BRIEF)
    assert own.shape == (12,)
    harder = audited(released, "lenet5_plain", images, labels, AuditSettings(epsilon=0.3, apgd_steps=5, queries=50))
    assert harder.sum() <= own.sum()
    evolved = next(candidate for group, candidate in candidates(12, seed=0) if group == EVOLVED)
    assert searched(evolved, "lenet5_plain", images, labels, attack).shape == (12,)


@pytest.mark.slow
def test_a_killed_search_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    counted: list[str] = []

    def one(candidate, model, images, labels, attack):  # type: ignore[no-untyped-def]
        counted.append("exact" if candidate is None else candidate.label)
        robust = np.arange(len(images)) % 2 == 0
        return robust if candidate is None else np.roll(robust, 1)

    def other(candidate, model, images, labels, settings):  # type: ignore[no-untyped-def]
        return np.ones(len(images), dtype=bool) if candidate is None else np.zeros(len(images), dtype=bool)

    monkeypatch.setattr(robust_search, "searched", one)
    monkeypatch.setattr(robust_search, "audited", other)
    monkeypatch.setattr(robust_search, "_CHUNK", 4)
    small = Size(10, 1, 6, AdaptiveAttack(steps=2), 2, 2, 8, BRIEF)
    monkeypatch.setattr(robust_search, "SIZES", {"quick": small})
    parts: dict[str, list[Row]] = {}

    def part(name: str, measure) -> list[Row]:  # type: ignore[no-untyped-def]
        if len(parts) == 2 and name not in parts and not kept:
            raise KeyboardInterrupt
        if name not in parts:
            parts[name] = measure()
        return parts[name]

    kept: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        robust_search.run(StudyOptions(level="quick", part=part))
    before = len(counted)
    kept.append("go on")
    result = robust_search.run(StudyOptions(level="quick", part=part))
    # Six designs are timed and the exact network attacked again; of the ten designs only two are left to score.
    assert len(counted) - before == 6 + 1 + 2
    assert "robust_search: about " in capsys.readouterr().err
    assert "8 other images and 2 networks: none wins on at least 1 of them" in result.reason
    assert sum(row.measured for row in result.rows if row.quantity == "designs searched") == 10
