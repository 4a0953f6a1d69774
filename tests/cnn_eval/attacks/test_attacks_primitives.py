"""Steps that attacks are built from, against formulas written out here."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from cnn_eval.attacks.shared.attack_modes import BallNorm
from cnn_eval.attacks.shared.primitives import (
    distances,
    image_generators,
    input_gradient,
    logit_margin,
    project,
    random_start,
    scale_perturbation,
    shift,
    steepest_direction,
    uniform_noise,
)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 2, 3, 3, generator=torch.Generator().manual_seed(0))


def test_distances_are_largest_change_euclidean_length_and_changed_values() -> None:
    clean, other = torch.zeros(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    other[1, 0] = torch.tensor([[0.3, 0.0], [-0.4, 0.0]])
    assert distances(clean, other, "l0").tolist() == [0, 2]
    assert distances(clean, other, "l2").tolist() == pytest.approx([0, 0.5])
    assert distances(clean, other, "linf").tolist() == pytest.approx([0, 0.4])


def test_logit_margin_is_best_wrong_less_true() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0], [5.0, 4.0, 5.0], [-1.0, -2.0, -3.0]])
    assert logit_margin(logits, torch.tensor([1, 0, 2])).tolist() == [-1, 0, 2]


@pytest.mark.parametrize(("loss", "expected"), [("margin", [-1.0, 1.0]), ("ce", None)])
def test_input_gradient_is_that_of_one_image(loss: str, expected: list[float] | None) -> None:
    """Logits (a, b) of an image with the values a, b; label 0. Cross-entropy: softmax less one-hot."""
    model = nn.Flatten()
    image = torch.tensor([[[[0.2, 0.6]]], [[[0.9, 0.1]]]])
    gradient = input_gradient(model, image, torch.tensor([0, 0]), loss=loss)
    for row, values in zip(gradient.flatten(1).tolist(), image.flatten(1).tolist(), strict=True):
        share = 1 / (1 + math.exp(values[0] - values[1]))
        assert row == pytest.approx(expected or [-share, share], rel=1e-6)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_steepest_direction_has_size_one_and_no_other_climbs_further(norm: BallNorm, images: torch.Tensor) -> None:
    gradient = images - 0.5
    direction = steepest_direction(gradient, norm)
    assert distances(torch.zeros_like(images), direction, norm).tolist() == pytest.approx([1.0] * 6)
    climb = (gradient * direction).flatten(1).sum(1)
    for seed in range(20):
        other = steepest_direction(uniform_noise(images, seed), norm)
        assert bool((climb >= (gradient * other).flatten(1).sum(1)).all())
    assert not bool(steepest_direction(torch.zeros_like(images), norm).any())
    # the squares of this gradient underflow in float32, its direction does not
    assert torch.allclose(steepest_direction(gradient * 1e-30, norm), direction, atol=1e-6)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_projection_keeps_what_is_inside_and_shortens_the_rest(norm: BallNorm, images: torch.Tensor) -> None:
    inner = 0.4 + 0.2 * images
    near, far = inner + 0.01 * (images - 0.5), inner + 3 * (images - 0.5)
    assert torch.allclose(project(inner, near, norm, 0.1), near, atol=1e-7)
    assert distances(inner, project(inner, far, norm, 0.1), norm).tolist() == pytest.approx([0.1] * 6, rel=1e-5)
    clipped = project(images, far, norm, 5.0)
    assert 0 <= float(clipped.min()) <= float(clipped.max()) <= 1


def test_a_scaled_perturbation_is_longer_by_the_factor_or_clipped(images: torch.Tensor) -> None:
    inner = 0.4 + 0.2 * images
    moved = inner + 0.1 * (images - 0.5)
    assert torch.allclose(scale_perturbation(inner, moved, 2.0), inner + 0.2 * (images - 0.5), atol=1e-6)
    assert torch.equal(scale_perturbation(inner, moved, 100.0), (inner + 100 * (moved - inner)).clamp(0, 1))
    sizes = torch.arange(6) / 10
    assert torch.equal(shift(inner, images, sizes)[3], (inner[3] + sizes[3] * images[3]).clamp(0, 1))


def test_noise_follows_from_seed_and_image_alone(images: torch.Tensor) -> None:
    noise = uniform_noise(images, 0)
    assert torch.equal(noise[2:4], uniform_noise(images[2:4], 0))
    assert torch.equal(noise.flip(0), uniform_noise(images.flip(0), 0))
    assert not torch.equal(noise, uniform_noise(images, 1))
    assert -1 <= float(noise.min()) < -0.9
    assert 0.9 < float(noise.max()) < 1
    state = torch.get_rng_state()
    one, other = (image_generators(images[:1], seed)[0].initial_seed() for seed in (0, 1))
    assert one != other
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_starts_lie_in_the_ball_and_differ_by_restart(norm: BallNorm, images: torch.Tensor) -> None:
    first, second = (random_start(images, norm, 0.1, 0, run) for run in (0, 1))
    assert float(distances(images, first, norm).max()) <= 0.1 + 1e-6
    assert not torch.equal(first, second)
