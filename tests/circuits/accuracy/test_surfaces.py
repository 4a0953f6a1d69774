"""Error surfaces: they bin by both operands, and add up to the metrics."""

from __future__ import annotations

import json

import numpy as np
import pytest

from circuits import Design, DesignError, design, error_metrics, error_surface


def test_the_surface_adds_up_to_the_metrics() -> None:
    for multiplier, options in (
        (design("heap"), {"samples": 100_000}),
        (Design(topology="carry_save_array", format=None, width=(5, 6), placement="ama4", ports="scp"), {}),
    ):
        m = error_metrics(multiplier, **options)
        surface = error_surface(multiplier, bins=5, **options)
        assert surface.count.shape == surface.bias.shape == (5, 5)
        assert surface.count.sum() == m.samples == surface.samples
        assert np.sum(surface.bias * surface.count) / m.samples == pytest.approx(m.bias.value)
        assert np.sum(surface.med * surface.count) / m.samples == pytest.approx(m.med.value)
        json.dumps(surface.to_dict(), allow_nan=False)


def test_the_surface_bins_by_first_then_second_operand() -> None:
    x, w = np.array([0.0, 0.0, 10.0, 10.0]), np.array([1.0, 3.0, 1.0, 2.9])
    surface = error_surface(design("axfpm"), bins=2, operands=(x, w))
    assert surface.x_edges.tolist() == [0, 5, 10]
    assert surface.w_edges.tolist() == [1, 2, 3]
    assert surface.count.tolist() == [[1, 1], [1, 1]]
    result = design("axfpm").multiply(x, w).astype(np.float64) - x.astype(np.float32) * w.astype(np.float32).astype(
        float
    )
    np.testing.assert_allclose(surface.bias.ravel(), result)
    assert np.isnan(surface.mred[0]).all()
    constant = error_surface(design("axfpm"), bins=3, operands=(np.ones(4), np.ones(4)))
    assert constant.count[0, 0] == 4


def test_the_number_of_bins_is_bounded() -> None:
    for bins in (0, 4097, 2.5, True):
        with pytest.raises(DesignError, match="1 <= bins <= 4096 must hold, but got"):
            error_surface(design("axfpm"), bins=bins)  # type: ignore[arg-type]
