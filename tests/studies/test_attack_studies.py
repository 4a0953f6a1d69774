"""Studies of attacks: published numbers in place, the control beside, rates as the library gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnn_eval import power_of_two_control, predict
from cnn_eval.attacks.deepfool import DeepFool
from cnn_eval.attacks.shared.primitives import distances, fooled
from cnn_eval.data.loading import load
from cnn_eval.measure.network_accuracy import base_network
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.paper import figure12, figures8_11, table2, table3, table4, table10
from studies.rows import attack_rows, transfer_rows
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


def found(result: StudyResult) -> dict[tuple[str, str], Row]:
    result.to_json()
    return {(row.subject, row.quantity): row for row in result.rows}


def test_table2_is_the_transfer_of_the_library() -> None:
    result = table2.run(QUICK)
    rows = found(result)
    assert {row.subject for row in result.rows} == {"axfpm", "axfpm_tiled", "axfpm_released", "control"}
    assert rows["axfpm", "FGSM, smallest"].published == 12  # DA table 2
    assert rows["axfpm_tiled", "DF, l2 <= 1.5"].published == 17
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
    assert rows["control", "deepfool: MSE over exact"].published is None


def test_figure12_counts_confident_images() -> None:
    result = figure12.run(QUICK)
    rows = found(result)
    assert rows["axfpm", "confidence above 0.8"].published == 74.5  # DA section 6
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
    assert rows["axfpm_tiled", "DF, l2 <= 0.5"].published == 35
    assert ("control", "FGSM, linf <= 0.0314") in rows
    assert result.settings["model"] == "alexnet"
