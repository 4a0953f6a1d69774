"""AlexNet for CIFAR-10, the network of DA's colour experiments."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional

from cnn_eval.models.registration import ModelEntry
from cnn_eval.models.training_settings import CIFAR10_ADAM

CHANNELS = (48, 96, 160, 128, 96)
KERNELS = (5, 3, 3, 3, 3)
POOLED = (1, 2, 5)
"""Numbers of the convolutions that are followed by max-pooling over 2x2."""


class AlexNet(nn.Module):
    """Five convolutions, max-pooling after the first, second and fifth, three fully connected layers, ReLU, dropout.

    float32 images [N, 3, 32, 32] in [0, 1] -> conv1 5x5, 48 channels, 32x32 -> pool 16x16 -> conv2 96 -> pool 8x8 ->
    conv3 160 -> conv4 128 -> conv5 96 (3x3, same size each) -> pool 4x4 -> fc1 256 -> fc2 128 -> fc3: float32 logits
    [N, 10]. The order of layers of Krizhevsky, Sutskever, Hinton (NeurIPS 2012), with kernels and widths for 32x32
    images; DA gives no sizes. There is no batch normalisation, not even in training: folded into the weights, it leaves
    biases as large as the sums, and a multiplier that enlarges every product then shifts the balance between them.
    Weights are initialised for ReLU as in He et al. (ICCV 2015).
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = 3
        for number, (channels, kernel) in enumerate(zip(CHANNELS, KERNELS, strict=True), start=1):
            setattr(self, f"conv{number}", nn.Conv2d(inputs, channels, kernel, padding=kernel // 2))
            inputs = channels
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(inputs * 16, 256)
        self.fc2 = nn.Linear(256, 128)
        self.fc3 = nn.Linear(128, 10)
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, 10]."""
        x = images
        for number in range(1, 6):
            x = functional.relu(getattr(self, f"conv{number}")(x))
            if number in POOLED:
                x = functional.max_pool2d(x, 2)
        x = functional.relu(self.fc1(self.dropout(x.flatten(1))))
        x = functional.relu(self.fc2(self.dropout(x)))
        return self.fc3(x)  # type: ignore[no-any-return]  # torch types a module call as Any


_RECIPE = replace(CIFAR10_ADAM, model="alexnet", learning_rate=1e-3)
ALEXNET = ModelEntry(factory=AlexNet, dataset="cifar10", recipe=_RECIPE)
ALEXNET_SMOOTH = ModelEntry(
    factory=AlexNet,
    dataset="cifar10",
    recipe=replace(_RECIPE, model="alexnet_smooth", seed=1, label_smoothing=0.1, rotation=10, scale=0.1),
)
"""Another seed, targets and augmentation: studies of several networks tell by it what the first one's training did."""
