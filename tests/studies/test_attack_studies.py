"""Studies of attacks: published numbers in their rows, the control beside them, rates as the library gives them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cnn_eval import power_of_two_control, predict
from cnn_eval.attacks.deepfool import DeepFool
from cnn_eval.attacks.shared.primitives import distances, fooled
from cnn_eval.data.loading import load
from cnn_eval.measure.network_accuracy import base_network
from cnn_eval.scenarios.success import Outcome
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.paper import figure12, figures8_11, table2, table3, table4, table10
from studies.rows import attack_rows, further_victims, transfer_rows
from studies.rows.attack_rows import rate_row, rates_verdict

QUICK = StudyOptions(level="quick")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two quick attacks on eight images; a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    names = {"fgsm": "FGSM", "deepfool": "DF"}
    for module in (transfer_rows, table4, attack_rows):
        monkeypatch.setattr(module, "PUBLISHED_NAMES", names)
    for module in (table2, table3, table4, table10, figures8_11):
        monkeypatch.setattr(module, "SAMPLES", {"quick": 8})
    monkeypatch.setattr(table4, "ROUNDS", {"quick": 2})
    short = {"cw": {"binary_search_steps": 2, "steps": 15, "initial_const": 10.0, "stepsize": 0.1}}
    monkeypatch.setattr(attack_rows, "SHORT", short)
    monkeypatch.setattr(further_victims, "RECOVERY_IMAGES", {"quick": 8})


def found(result: StudyResult) -> dict[tuple[str, str], Row]:
    result.to_json()
    return {(row.subject, row.quantity): row for row in result.rows}


def test_table2_is_the_transfer_of_the_library() -> None:
    result = table2.run(QUICK)
    rows = found(result)
    assert list(dict.fromkeys(row.subject for row in result.rows)) == [
        "axfpm",
        "axfpm_tiled",
        "axfpm_released",
        "control",
        "axfpm_released, all layers",
        "axfpm, recovered",
        "axfpm_released, recovered",
        "axfpm_released, matched control",
        "axfpm_released, all layers, matched control",
    ]
    assert rows["axfpm", "FGSM, smallest"].published == 12  # DA table 2
    assert rows["axfpm_released, all layers", "DF, smallest"].published == 17
    # Each number is compared once, and only with the circuits that the paper may mean.
    assert rows["axfpm_tiled", "DF, l2 <= 1.5"].published is None
    assert rows["axfpm_released, recovered", "DF, smallest"].published is None
    assert rows["control", "DF, smallest"].published is None
    images, labels = load().images[:8], load().labels[:8]
    model = base_network("lenet5")
    control = power_of_two_control(model)
    adversarial = DeepFool().run(model, images, labels, mode="minimum")
    eligible = (predict(model, images) == labels) & (predict(control, images) == labels)
    eligible &= fooled(model, adversarial, labels)
    success = eligible & fooled(control, adversarial, labels)
    assert rows["control", "DF, smallest"].measured == pytest.approx(100 * int(success.sum()) / int(eligible.sum()))
    near = distances(images, adversarial, "l2") <= 1.5
    row = rows["control", "DF, l2 <= 1.5"]
    assert row.remark == f"{int((success & near).sum())} of {int((eligible & near).sum())}"
    assert result.settings["attacks"][0]["attack"] == "fgsm"


def test_table10_has_heap_and_exact() -> None:
    rows = found(table10.run(QUICK))
    assert rows["heap", "FGSM, smallest"].published == 16  # DA table 10
    assert rows["exact", "FGSM, linf <= 0.2"].measured == 100
    for quantity in ("FGSM, smallest", "FGSM, linf <= 0.2"):
        assert "; true by construction: only examples that fool" in rows["exact", quantity].remark
    assert ("heap, matched control", "DF, smallest") in rows


@pytest.mark.slow
def test_table4_asks_each_victim_as_often_as_it_says() -> None:
    rows = found(table4.run(QUICK))
    for subject in ("exact", "axfpm", "axfpm_released", "control"):
        assert rows[subject, "queries"].measured == 600
    assert rows["axfpm", "FGSM, smallest"].published == 22  # DA table 4


@pytest.mark.slow
def test_figures8_11_compare_noise_with_the_exact_network() -> None:
    result = figures8_11.run(QUICK)
    rows = found(result)
    exact, victim = rows["exact", "deepfool: mean L2"], rows["axfpm_tiled, ste", "deepfool: mean L2"]
    moved = rows["axfpm_tiled, ste", "deepfool: L2 less exact"]
    assert moved.measured == pytest.approx(victim.measured - exact.measured)
    assert moved.published == 5.12  # DA section 5.3
    assert moved.interval is not None
    assert moved.interval[0] < moved.measured < moved.interval[1]
    assert rows["control", "deepfool: MSE over exact"].published is None
    for name, kinds in (
        ("axfpm", ("ste", "slope")),
        ("axfpm_tiled", ("ste", "slope")),
        ("axfpm_released", ("ste", "matched gradient")),
    ):
        best = rows[f"{name}, best gradient", "deepfool: mean L2"].measured
        assert best <= min(rows[f"{name}, {kind}", "deepfool: mean L2"].measured for kind in kinds)
    assert rows["axfpm_released, matched control", "deepfool: L2 less exact"].published is None


def test_the_interval_of_paired_noise_comes_from_the_pairs() -> None:
    reference = np.array([1.0, 3.0, 2.0, 5.0, 4.0, 2.5])
    # Every image needs .1 more, which is significant although images differ by 4.
    value, interval = figures8_11.mean_difference(reference + np.array([0.1, 0.11, 0.09, 0.1, 0.12, 0.08]), reference)
    assert interval is not None
    assert value == pytest.approx(0.1)
    # Student's t for 5 degrees of freedom is 2.571; the differences' standard deviation is .01414.
    assert interval[0] == pytest.approx(0.1 - 2.571 * 0.014142 / 6**0.5, abs=2e-5)
    value, interval = figures8_11.ratio_of_means(2 * reference, reference)
    assert (value, interval) == (2.0, (2.0, 2.0))
    value, interval = figures8_11.ratio_of_means(reference[::-1].copy(), reference)
    assert interval is not None
    assert interval[0] < value == 1.0 < interval[1]
    assert figures8_11.mean_difference(reference[:3], reference[:3]) == (0.0, None)


def outcome(success: list[bool], l2: list[float], psnr: list[float]) -> Outcome:
    wrong = torch.tensor(success)
    noise = {"l2": torch.tensor(l2), "psnr": torch.tensor(psnr)}
    return Outcome(torch.ones_like(wrong), wrong, torch.zeros_like(wrong), noise)


def test_the_best_gradient_is_chosen_image_by_image() -> None:
    one = outcome([True, True, False, False], [1.0, 5.0, 0.1, 0.2], [30.0, 20.0, 50.0, 40.0])
    other = outcome([True, True, True, False], [2.0, 3.0, 9.0, 0.1], [25.0, 24.0, 10.0, 45.0])
    best = figures8_11.best(one, other)
    assert best.success.tolist() == [True, True, True, False]
    assert best.noise["l2"][:3].tolist() == [1.0, 3.0, 9.0]
    assert best.noise["psnr"][:3].tolist() == [30.0, 24.0, 10.0]


@pytest.mark.parametrize(("low", "verdict"), [(0.05, "reproduced in direction"), (-0.05, "not reproduced")])
def test_more_noise_is_needed_only_if_the_weakest_victims_need_it_surely(low: float, verdict: str) -> None:
    def row(subject: str, change: float, interval: tuple[float, float]) -> Row:
        return Row(subject, "deepfool: L2 less exact", change, 5.12, interval)

    rows = [row("axfpm, best gradient", 0.1, (low, 0.2)), row("axfpm_released, ste", 0.3, (0.1, 0.5))]
    # A gradient that fails decides nothing.
    said, reason = figures8_11.conclude([*rows, row("axfpm, ste", 5.0, (4.0, 6.0)), row("axfpm, slope", -1, (-2, 0))])
    assert said == verdict
    assert f"axfpm, best gradient deepfool +0.10 ({low:+.2f} .. +0.20)" in reason
    assert "axfpm, ste" not in reason


@pytest.mark.parametrize(
    ("exact", "fooled", "verdict"),
    [
        ((100, 100), 22, "reproduced"),
        ((100, 100), 60, "reproduced in direction"),
        ((100, 100), 97, "not reproduced"),
        ((4, 100), 2, "cannot be told"),  # 78 points fewer are impossible
        ((4, 100), 32, "cannot be told"),
    ],
)
def test_black_box_attacks_are_judged_by_their_difference_to_exact(
    exact: tuple[int, int], fooled: int, verdict: str
) -> None:
    rows = [
        rate_row("exact", "FGSM, smallest", exact, 100),
        rate_row("axfpm", "FGSM, smallest", (fooled, 100), 22),
        rate_row("control", "FGSM, smallest", (50, 100), None),
        rate_row("axfpm", "FGSM, linf <= 0.2", (100, 100), None),
        rate_row("exact", "FGSM, linf <= 0.2", (100, 100), None),
    ]
    said, reason = table4.conclude(rows)
    assert said == verdict
    assert reason.startswith("of 1 differences to the exact network, ")
    assert f"{exact[0]} % on exact, {fooled} % on axfpm, 50 % on control" in reason


def test_figure12_counts_confident_images() -> None:
    result = figure12.run(QUICK)
    rows = found(result)
    assert rows["axfpm", "confidence above 0.8"].published == 74.5  # DA section 6
    assert rows["axfpm_released, all layers", "confidence above 0.8"].published == 74.5
    assert rows["axfpm", "confidence above 0.8, less exact"].published is None  # compared once
    # More than 45.5 % of images exceed .8 on this network, so that 54.5 points more are impossible.
    assert rows["exact", "confidence above 0.8"].measured > 45.5
    assert result.verdict == "cannot be told"
    assert result.figures["png"].startswith(b"\x89PNG")


def test_verdicts_follow_the_intervals() -> None:
    high, low = rate_row("a", "q", (89, 100), 12), rate_row("a", "q", (12, 100), 12)
    all_ = rate_row("a", "q", (90, 100), 12)
    none = rate_row("a", "q", (0, 0), 12)
    assert none.remark == "0 of 0: no eligible sample, no rate"
    assert rates_verdict([low, none])[0] == "reproduced"
    assert rates_verdict([low, high])[0] == "reproduced in direction"
    assert rates_verdict([low, all_])[0] == "not reproduced"
    assert rates_verdict([none])[0] == "not reproduced"
    assert rates_verdict([low, high])[1].startswith(
        "of 2 rates with a published number, 1 agree with it, 1 differ (1 are"
    )
    few = rate_row("a", "q", (1, 6), 12)  # an interval that holds 12, and much else
    assert rates_verdict([few])[0] == "not reproduced"
    assert "1 are known too little to tell" in rates_verdict([few])[1]


@pytest.mark.slow
def test_table3_attacks_alexnet_within_the_budgets_of_photographs() -> None:
    result = table3.run(QUICK)
    rows = found(result)
    assert rows["axfpm", "FGSM, smallest"].published == 38  # DA table 3
    assert rows["axfpm_tiled", "DF, smallest"].published == 35
    assert rows["axfpm, recovered", "DF, smallest"].published is None
    assert ("control", "FGSM, linf <= 0.0314") in rows
    assert result.settings["model"] == "alexnet"
