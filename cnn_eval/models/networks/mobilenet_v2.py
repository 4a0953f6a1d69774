"""MobileNetV2 for ImageNet, which takes torchvision's published weights.

It is no entry of the registry, since the package carries neither its weights nor its images. After
`python -m cnn_eval data fetch mobilenet_v2`, commands take it as a user's own network:

    --model cnn_eval.models.networks.mobilenet_v2:pretrained --data FOLDER
"""

from __future__ import annotations

import torch
from torch import nn

from cnn_eval.data.file_sets.mobilenet_weights import mobilenet_weights

__all__ = ["MobileNetV2", "pretrained"]

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the channels of ImageNet's pixels: what the weights were trained with (torchvision)."""
STEM, HEAD, CLASSES = 32, 1280, 1000
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion t, output channels c, blocks n and stride s of the first block (Sandler et al., CVPR 2018, table 2)."""


def _convolution(inputs: int, outputs: int, size: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias, batch normalisation, and ReLU limited to 6."""
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU6())


class InvertedResidual(nn.Module):
    """A pointwise convolution that widens, a depthwise one, and a pointwise one that narrows without a nonlinearity;
    the input is added where it has the shape of the output."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = [_convolution(inputs, hidden, 1)] if expansion > 1 else []
        layers += [
            _convolution(hidden, hidden, 3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.conv = nn.Sequential(*layers)
        self.adds_input = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features [N, outputs, H / stride, W / stride] of features [N, inputs, H, W]."""
        out: torch.Tensor = self.conv(x)
        return x + out if self.adds_input else out


class MobileNetV2(nn.Module):
    """float32 images [N, 3, H, W] in [0, 1], H and W usually 224 -> float32 logits [N, 1000].

    Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018. The state_dict has the keys of
    torchvision's; unlike there, the images' normalisation belongs to the network.
    """

    def __init__(self) -> None:
        super().__init__()
        features: list[nn.Module] = [_convolution(3, STEM, 3, stride=2)]
        inputs = STEM
        for expansion, outputs, blocks, first_stride in STAGES:
            for block in range(blocks):
                features.append(InvertedResidual(inputs, outputs, 1 if block else first_stride, expansion))
                inputs = outputs
        features.append(_convolution(inputs, HEAD, 1))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(HEAD, CLASSES))
        for name, values in (("mean", MEAN), ("deviation", DEVIATION)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, 1000]."""
        x = (images - self.get_buffer("mean")) / self.get_buffer("deviation")
        x = self.features(x).mean((2, 3))
        return self.classifier(x)  # type: ignore[no-any-return]  # torch types a module call as Any


def pretrained() -> MobileNetV2:
    """The network with the fetched weights, in evaluation mode. Raises DataError where they have not been fetched."""
    network = MobileNetV2()
    network.load_state_dict(mobilenet_weights())
    return network.eval()
