"""Studies table5 and bfloat16_transfer: sources named, rates as the library gives them, verdicts that follow."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest
import torch

from cnn_eval import load_model, power_of_two_control, predict
from cnn_eval.attacks.fgsm import FGSM
from cnn_eval.attacks.shared.primitives import fooled
from cnn_eval.data.loading import load
from cnn_eval.measure.network_accuracy import base_network
from cnn_eval.models.quantization import Bfloat16
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.paper import bfloat16_transfer, table5
from studies.rows.transfer_rows import Rate

QUICK = StudyOptions(level="quick")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """FGSM alone, on few images."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for module in (table5, bfloat16_transfer):
        monkeypatch.setattr(module, "ATTACKS", {"fgsm": "FGSM"})
    monkeypatch.setattr(table5, "SAMPLES", {"quick": 8})
    monkeypatch.setattr(bfloat16_transfer, "SAMPLES", {"lenet5": {"quick": 12}, "alexnet": {"quick": 4}})
    monkeypatch.setattr(bfloat16_transfer, "IMAGES", {"lenet5": {"quick": 60}, "alexnet": {"quick": 12}})


def found(result: StudyResult) -> dict[tuple[str, str], Row]:
    result.to_json()
    return {(row.subject, row.quantity): row for row in result.rows}


# ---- table 5


@pytest.mark.slow
def test_table5_crafts_for_quantised_networks_on_their_float_twin() -> None:
    result = table5.run(QUICK)
    rows = found(result)
    assert rows["AlexNet -> axfpm_released", "FGSM, smallest"].published == 38  # DA table 5
    assert rows["float twin -> DQ full", "FGSM, smallest"].published == 60
    assert rows["float twin -> DQ weight-only", "FGSM, smallest"].published == 61
    assert rows["AlexNet -> axfpm_released, all layers", "FGSM, smallest"].published == 38
    assert rows["AlexNet -> exact", "FGSM, linf <= 0.0314"].measured == 100
    assert {"AlexNet -> control", "float twin -> control"} <= {row.subject for row in result.rows}
    assert result.settings["dorefa_float"]["model"] == "dorefa_float"
    # again, from the library: the first eight images that all networks but the control classify correctly
    data = load("cifar10")
    images, labels = data.images[:40], data.labels[:40]
    source = load_model("dorefa_float")
    victims = {"DQ full": load_model("dorefa_full"), "DQ weight-only": load_model("dorefa_weight")}
    victims["AlexNet"] = load_model("alexnet")
    right = torch.stack([predict(network, images) == labels for network in (source, *victims.values())]).all(0)
    chosen = right.nonzero()[:8, 0]
    assert len(chosen) == 8
    images, labels = images[chosen], labels[chosen]
    adversarial = FGSM().run(source, images, labels, mode="budget", epsilon=8 / 255)
    crafted = fooled(source, adversarial, labels)
    victims["control"] = power_of_two_control(source)
    for name, network in victims.items():
        row = rows[f"float twin -> {name}", "FGSM, linf <= 0.0314"]
        counted = crafted & (predict(network, images) == labels)
        transferred = counted & fooled(network, adversarial, labels)
        assert row.remark.startswith(f"{int(transferred.sum())} of {int(counted.sum())}")
        assert row.published is None  # DA's numbers are compared with the smallest perturbations, once


def rate(victim: str, transferred: int, eligible: int, mode: str = "minimum") -> Rate:
    return Rate(victim, "FGSM", mode, "linf <= 0.0314", transferred, eligible)  # type: ignore[arg-type]


def test_the_claim_is_the_ratio_of_what_does_not_transfer() -> None:
    approximate = [rate("exact", 100, 100), rate("axfpm", 20, 100), rate("control", 20, 100)]
    rows, intervals = table5._claim(approximate, [rate("DQ full", 60, 100), rate("DQ weight-only", 90, 90)])
    assert len(intervals) == 2
    (row,) = rows  # of DQ weight-only everything transfers: no ratio
    assert (row.subject, row.measured) == ("axfpm / DQ full", pytest.approx(80 / 40))
    assert row.published == pytest.approx((100 - 38) / (100 - 60))  # DA table 5
    assert intervals[0] == row.interval
    low, high = intervals[1]
    assert low > 1
    assert high == inf
    # an interval that spends C&W's budget is the smallest again, and is not counted twice
    twice = Rate("axfpm", "C&W", "budget", "l2 <= 0.5", 1, 9)
    assert table5._claim([twice], [])[1] == []


@pytest.mark.parametrize(
    ("da", "dq", "verdict"),
    [
        (20, 60, "reproduced"),
        (4, 88, "reproduced in direction"),
        (60, 60, "not reproduced"),
        (90, 40, "not reproduced"),
    ],
)
def test_table5_verdicts_follow_the_ratio(da: int, dq: int, verdict: str) -> None:
    quantised = [rate("DQ full", dq, 100), rate("DQ weight-only", dq, 100)]
    said, told = table5.conclude(table5._claim([rate("axfpm", da, 100)], quantised)[1])
    assert said == verdict
    assert "of 2 comparisons of DA with DQ, DA is more robust in " in told
    assert table5.conclude([])[0] == "not reproduced"


# ---- bfloat16


def test_bfloat16_stands_beside_the_exact_network_and_the_control() -> None:
    result = bfloat16_transfer.run(QUICK)
    rows = found(result)
    assert result.figures["png"].startswith(b"\x89PNG")
    for shown in bfloat16_transfer.MODELS.values():
        assert rows[f"{shown}: exact", "FGSM, smallest"].measured == 100
        assert (f"{shown}: control", "FGSM, smallest") in rows
        assert rows[f"{shown}: bfloat16, whole", "accuracy less exact"].published == 0  # DA table 6
    # again, with torch
    data = load()
    images, labels = data.images[:60], data.labels[:60]
    exact = base_network("lenet5")
    whole = Bfloat16(exact)
    with torch.no_grad():
        outputs = [network(images).double().softmax(1) for network in (exact, whole)]
    right = [int((values.argmax(1) == labels).sum()) for values in outputs]
    row = rows["LeNet-5, MNIST: bfloat16, whole", "accuracy less exact"]
    assert row.measured == pytest.approx(100 * (right[1] - right[0]) / 60)
    sure = []
    for values in outputs:
        best_other = [max(float(v) for k, v in enumerate(row) if k != y) for row, y in zip(values, labels, strict=True)]
        sure.append([float(row[y]) - other for row, y, other in zip(values, labels, best_other, strict=True)])
    changes = [b - a for a, b in zip(*sure, strict=True)]
    row = rows["LeNet-5, MNIST: bfloat16, whole", "mean confidence less exact"]
    assert row.measured == pytest.approx(sum(changes) / 60, abs=1e-7)
    assert row.interval is not None
    assert row.interval[0] < row.measured < row.interval[1]
    assert float(row.remark.split()[-1]) == pytest.approx(max(map(abs, changes)), rel=0.06)


@pytest.mark.parametrize(
    ("smallest", "spent", "control", "points", "verdict"),
    [
        (95, 100, 40, 0.5, "reproduced"),
        (70, 100, 40, 0.5, "reproduced in direction"),
        (70, 100, 80, 0.5, "not reproduced"),
        (95, 80, 40, 0.5, "not reproduced"),
        (95, 100, 40, 3.0, "not reproduced"),
    ],
)
def test_bfloat16_verdicts_follow_the_rates(
    smallest: int, spent: int, control: int, points: float, verdict: str
) -> None:
    rates = [rate(name, smallest, 100) for name in bfloat16_transfer.BFLOAT16]
    rates += [rate(name, spent, 100, "budget") for name in bfloat16_transfer.BFLOAT16]
    rates += [rate("control", control, 100), rate("exact", 100, 100)]
    said, told = bfloat16_transfer.conclude({"a network": rates}, {"one": (points, 0.0), "other": (-0.1, 0.002)})
    assert said == verdict
    assert f"{smallest} % of the smallest transfer to bfloat16" in told
    assert f"Accuracy moves by {points:.2f} points" in told


def test_the_figure_has_a_dot_for_each_victim_and_attack() -> None:
    rates = [rate(name, 7, 10) for name in ("exact", *bfloat16_transfer.BFLOAT16, "control")]
    rates += [rate("bfloat16", 10, 10, "budget"), rate("control", 0, 0, "budget")]
    (axes,) = bfloat16_transfer._figure({"a network": rates}).axes
    dots = {line.get_label(): [float(x) for x in line.get_xdata()] for line in axes.lines}  # type: ignore[union-attr]
    assert dots["bfloat16"] == [70, 100]
    assert dots["control"] == [70]  # no rate without eligible samples
    assert [text.get_text() for text in axes.get_yticklabels()] == ["FGSM, smallest", "FGSM, linf <= 0.0314"]
