"""A MobileNet for CIFAR-10: depthwise separable convolutions."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional

from cnn_eval.models.registration import ModelEntry
from cnn_eval.models.training_settings import CIFAR10_SGD

STEM = 24
BLOCKS = ((48, 1), (96, 2), (96, 1), (192, 2), (192, 1), (192, 1), (384, 2), (384, 1))
"""Output channels and stride of each depthwise separable block."""


class SeparableBlock(nn.Module):
    """A depthwise 3x3 and a pointwise 1x1 convolution, each followed by batch normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features [N, outputs, H / stride, W / stride] of features [N, inputs, H, W]."""
        x = functional.relu(self.bn1(self.depthwise(x)))
        return functional.relu(self.bn2(self.pointwise(x)))


class MobileNetCifar(nn.Module):
    """A 3x3 convolution, eight depthwise separable blocks, the mean over all pixels and one linear layer.

    float32 images [N, 3, 32, 32] in [0, 1] -> float32 logits [N, 10]. The building block of MobileNet (Howard et al.,
    arXiv 1704.04861) with fewer and narrower blocks, and strides for 32x32 images. The first batch normalisation
    replaces a normalisation of the images.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STEM, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        inputs, blocks = STEM, []
        for outputs, stride in BLOCKS:
            blocks.append(SeparableBlock(inputs, outputs, stride))
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(inputs, 10)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, 10]."""
        x = functional.relu(self.bn1(self.conv1(images)))
        return self.fc(self.blocks(x).mean((2, 3)))  # type: ignore[no-any-return]  # torch types a module call as Any


# Depthwise convolutions have slow bfloat16 kernels on CPUs, so this network is trained in float32.
MOBILENET_CIFAR = ModelEntry(
    factory=MobileNetCifar,
    dataset="cifar10",
    recipe=replace(CIFAR10_SGD, model="mobilenet_cifar", epochs=30, precision="float32"),
)
