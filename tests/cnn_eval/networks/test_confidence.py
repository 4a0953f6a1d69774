"""Confidence (DA section 6) and feature maps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from circuits import DesignError, UnknownNameError, design
from cnn_eval import approximate
from cnn_eval.measure.confidence import confidence, confidence_distribution, feature_maps, last_convolution
from cnn_eval.models.networks.lenet5 import LeNet5


def test_confidence_is_the_true_class_less_the_best_other() -> None:
    values = torch.tensor([[1.0, 2.0, 0.5], [1.0, 2.0, 0.5], [0.0, 0.0, -1e9], [400.0, 0.0, 0.0]])
    labels = torch.tensor([1, 0, 0, 0])
    total = math.exp(1) + math.exp(2) + math.exp(0.5)
    lead = (math.exp(2) - math.exp(1)) / total
    np.testing.assert_allclose(confidence(values, labels), [lead, -lead, 0, 1], atol=1e-12)
    with pytest.raises(DesignError) as error:
        confidence(values, labels[:2])
    assert str(error.value) == (
        "logits must be [N, classes] with labels [N], but have shapes [4, 3] and [2]; give one label an image."
    )


class Table(nn.Module):
    """Looks its logits up by the image's only pixel."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        level = images[:, 0, 0, 0]
        return torch.stack([torch.log((1 + level) / 2), torch.log((1 - level) / 2)], dim=1)


def test_distribution_counts_images_at_most_and_above_a_threshold() -> None:
    levels = torch.tensor([0.8, -0.5, 0.2, 0.9])  # the confidence itself, for class 0
    found = confidence_distribution(
        Table(), levels[:, None, None, None], torch.zeros(4, dtype=torch.int64), batch_size=3
    )
    np.testing.assert_allclose(found.values, [-0.5, 0.2, 0.8, 0.9], atol=1e-6)
    assert (found.at_most(0.5), found.above(0.5), found.above(0.85)) == (0.5, 0.5, 0.25)
    assert (found.at_most(-1), found.at_most(1)) == (0, 1)
    x, share = found.curve()
    assert share.tolist() == [0.25, 0.5, 0.75, 1]
    assert x is found.values
    with pytest.raises(DesignError) as error:
        confidence_distribution(Table(), torch.zeros(0, 1, 1, 1), torch.zeros(0, dtype=torch.int64))
    assert str(error.value) == "images must hold at least one image, but hold none; give more."


def test_feature_maps_are_those_of_the_last_or_the_named_convolution() -> None:
    model, images = LeNet5().eval(), torch.rand(5, 1, 28, 28)
    assert last_convolution(model) == "conv2"
    for network in (model, approximate(model, design("axfpm_tiled"))):
        with torch.no_grad():
            hidden = nn.functional.max_pool2d(torch.relu(network.conv1(images)), 2)
            expected = network.conv2(hidden)
        maps = feature_maps(network, images, batch_size=2)
        torch.testing.assert_close(maps, expected, rtol=1e-5, atol=1e-6)
        assert maps.shape == (5, 16, 8, 8)
        assert not network.conv2._forward_hooks
        assert feature_maps(network, images, layer="conv1").shape == (5, 6, 24, 24)
    with pytest.raises(UnknownNameError) as unknown:
        feature_maps(model, images, layer="conv9")
    assert str(unknown.value) == "unknown layer 'conv9'; nearest: conv2, conv1."
    model.spare = nn.Conv2d(1, 1, 1)
    with pytest.raises(DesignError) as error:
        feature_maps(model, images)
    assert str(error.value) == "layer spare must be called by the model, but is not; name another layer."
    with pytest.raises(DesignError) as error:
        last_convolution(nn.Linear(2, 2))
    assert str(error.value) == "the model must have a Conv2d layer, but has none; name another layer."
