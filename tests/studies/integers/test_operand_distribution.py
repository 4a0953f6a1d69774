"""The study of multipliers evolved for a network's operands: counts of codes, pairs at equal energy, the finding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from circuits import Design
from cnn_eval import quantize
from studies.frame.study import StudyOptions
from studies.own.integers import operand_distribution as study

_EXACT = Design(topology="dadda", width=8, format=None)


def multiplier(error: float, energy: float) -> study._Multiplier:
    return study._Multiplier(_EXACT, error, energy)


def test_counterparts_need_no_more_energy() -> None:
    ours = [multiplier(0.1, 300), multiplier(0.3, 200), multiplier(0.4, 190), multiplier(2, 50)]
    chosen = [study.counterpart(multiplier(1, energy), ours) for energy in (400, 250, 200, 195, 60, 40)]
    assert [each and each.energy for each in chosen] == [300, 200, 200, 190, 50, None]


@pytest.mark.parametrize(
    ("intervals", "limits", "text"),
    [
        ([(0.1, 0.2), (-0.1, 0.1), (-0.3, -0.1)], 3, "at 1 of 3 energies"),
        ([(-0.1, 0.1)], 2, "at 0 of 1 energies"),
    ],
)
def test_the_finding_follows_the_intervals(intervals: list[tuple[float, float]], limits: int, text: str) -> None:
    finding = study.finding("resnet8", intervals, limits)
    assert text in finding
    worse = sum(high < 0 for _, high in intervals)
    assert f"less at {worse}; at 1 it cannot be told." in finding
    assert ("At 1 energies there was none to compare." in finding) == (len(intervals) < limits)


def test_codes_are_counted_in_proportion_to_the_products_of_layers() -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2)).eval()
    images = torch.rand(8, 1, 6, 6)
    quantized = quantize(network, images, scheme="sign_magnitude")
    counts = study.operand_codes(quantized, images)
    assert counts.sum() == pytest.approx(study._PAIRS, abs=1)
    # 16 positions x 3 filters x 9 taps, and 48 x 2: each weight code counts as often as its weight is used.
    expected = np.zeros(256)
    for layer, products in ((network[0], 432), (network[3], 96)):
        weight = layer.weight.detach().abs()
        scale = weight.flatten(1).amax(dim=1).reshape(-1, *[1] * (weight.ndim - 1)) / 255
        codes = (weight / scale).round().long().flatten().numpy()
        expected += np.bincount(codes, minlength=256) / codes.size * products / 528
    # Scales come from an order statistic, so that codes may be slightly off: compare sums over 32 codes.
    shares = counts.sum(axis=0) / counts.sum()
    assert np.abs(shares.reshape(8, 32).sum(1) - expected.reshape(8, 32).sum(1)).max() < 0.06
    # The images have no zeros; behind the ReLU there are some.
    assert 0 < counts[0].sum() < counts.sum() * 96 / 528


@pytest.mark.slow
def test_the_quick_level_keeps_its_energies_and_compares_accuracies() -> None:
    result = study.run(StudyOptions(level="quick"))
    rows = {(row.subject, row.quantity): row for row in result.rows}
    energies = [row for row in result.rows if row.quantity == "energy on the network's operands"]
    for row in energies:
        bound = float(row.subject.removeprefix("energy at most ").split()[0])
        assert row.measured <= bound * (1 + 1e-3)
    differences = [row for row in result.rows if row.unit == "pp"]
    for row in differences:
        ours = rows[f"{row.subject}, the network's operands", "accuracy"].measured
        assert row.measured == pytest.approx(ours - rows[f"{row.subject}, uniform operands", "accuracy"].measured)
    assert f"of {len(differences)} energies" in result.reason
