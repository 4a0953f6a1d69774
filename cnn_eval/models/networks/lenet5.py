"""LeNet-5, the network of DA's MNIST experiments."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from cnn_eval.models.registration import ModelEntry
from cnn_eval.models.training_settings import TrainingSettings


class LeNet5(nn.Module):
    """LeNet-5 with 6 and 16 channels, 5x5 kernels without padding, ReLU, max-pooling and three fully connected layers.

    float32 images [N, 1, 28, 28] -> conv1 24x24 -> pool 12x12 -> conv2 8x8 -> pool 4x4 -> fc1 120 -> fc2 84 -> fc3:
    float32 logits [N, 10]. After LeCun et al., Proc. IEEE 86(11), 1998, without that paper's padding to 32x32,
    trainable pooling and RBF outputs. DA gives no sizes; it counts two fully connected layers and a dropout layer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(256, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, 10]."""
        x = functional.max_pool2d(functional.relu(self.conv1(images)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.fc1(x.flatten(1)))
        x = functional.relu(self.fc2(x))
        return self.fc3(x)  # type: ignore[no-any-return]  # torch types a module call as Any


def _entry(name: str, **recipe: Any) -> ModelEntry:
    return ModelEntry(factory=LeNet5, dataset="mnist", recipe=TrainingSettings(model=name, **recipe))


LENET5 = _entry("lenet5")
_EMBEDDED = {"data": "embedded", "threads": 1}
"""The networks below are trained on the 10,000 images in the package: anyone can train them again, in a minute."""
LENET5_PLAIN = _entry(
    "lenet5_plain",
    epochs=12,
    batch_size=64,
    learning_rate=1e-3,
    rotation=0.0,
    shift=0.0,
    scale=0.0,
    seed=1,
    **_EMBEDDED,
)
LENET5_BRIEF = _entry("lenet5_brief", epochs=20, batch_size=64, learning_rate=1e-3, seed=2, **_EMBEDDED)
"""Trained for as long as it takes to be about as accurate as DA's network: 98.05 %, where DA has 97.93."""
LENET5_LONG = _entry("lenet5_long", epochs=40, seed=3, **_EMBEDDED)
LENET5_SMOOTH = _entry("lenet5_smooth", epochs=20, label_smoothing=0.6, seed=4, **_EMBEDDED)
"""Its softmax is not saturated: label smoothing by .6 draws the probability of the true class to .46."""
