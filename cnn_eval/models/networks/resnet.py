"""Residual networks for CIFAR-10: ResNet-20 of He et al. and the ResNet-8 of MLPerf Tiny."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from cnn_eval.models.registration import ModelEntry
from cnn_eval.models.training_settings import CIFAR10_SGD

CHANNELS = (16, 32, 64)
"""Output channels of the three stages, at 32x32, 16x16 and 8x8 pixels."""


class PaddedShortcut(nn.Module):
    """A shortcut without parameters: every `stride`-th pixel, new channels are zero (option A of He et al.)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.extra = outputs - inputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features [N, outputs, H / stride, W / stride] of features [N, inputs, H, W]."""
        before = self.extra // 2
        return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.extra - before))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation and a shortcut s: relu(bn2(conv2(relu(bn1(conv1 x)))) + s x)."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, projection: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if projection and inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride)
        elif inputs != outputs:
            self.shortcut = PaddedShortcut(inputs, outputs, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features [N, outputs, H / stride, W / stride] of features [N, inputs, H, W]."""
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """A 3x3 convolution, three stages of `blocks` residual blocks each, the mean over all pixels and one linear layer.

    float32 images [N, 3, 32, 32] in [0, 1] -> float32 logits [N, 10]. The first block of the second and third stage
    halves the image and doubles the channels. The first batch normalisation replaces a normalisation of the images.
    Convolutions are initialised for ReLU as in He et al. (ICCV 2015).

    With three blocks per stage and `projection` False this is ResNet-20 (He, Zhang, Ren, Sun, CVPR 2016, section 4.2).
    With one block per stage and `projection` True (1x1 convolutions as shortcuts) it is the ResNet-8 of MLPerf Tiny
    (Banbury et al., NeurIPS 2021 datasets track).
    """

    def __init__(self, *, blocks: int, projection: bool, channels: Sequence[int] = CHANNELS) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        inputs = channels[0]
        for stage, outputs in enumerate(channels, start=1):
            layers = []
            for block in range(blocks):
                stride = 2 if stage > 1 and block == 0 else 1
                layers.append(ResidualBlock(inputs, outputs, stride, projection=projection))
                inputs = outputs
            setattr(self, f"stage{stage}", nn.Sequential(*layers))
        self.fc = nn.Linear(inputs, 10)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, 10]."""
        x = functional.relu(self.bn1(self.conv1(images)))
        for stage in (1, 2, 3):
            x = getattr(self, f"stage{stage}")(x)
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]  # torch types a module call as Any


RESNET8 = ModelEntry(
    factory=partial(ResNet, blocks=1, projection=True), dataset="cifar10", recipe=replace(CIFAR10_SGD, model="resnet8")
)
RESNET20 = ModelEntry(
    factory=partial(ResNet, blocks=3, projection=False),
    dataset="cifar10",
    recipe=replace(CIFAR10_SGD, model="resnet20"),
)
