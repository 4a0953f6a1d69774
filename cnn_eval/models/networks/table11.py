"""The networks of DA table 11: with 4-bit weights and activations, with 4-bit weights only, and in float32."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import nn

from cnn_eval.models.quantization import QuantConv2d, QuantLinear, QuantReLU, freeze_weights
from cnn_eval.models.registration import ModelEntry
from cnn_eval.models.training_settings import CIFAR10_ADAM

CHANNELS = (32, 32, 64, 64, 128, 128)
FEATURES = (128, 128)


class Table11(nn.Module):
    """Six 3x3 convolutions, max-pooling over 2x2 after every second, three fully connected layers, batch normalisation.

    float32 images [N, 3, 32, 32] in [0, 1] -> float32 logits [N, 10], in the order of DA table 11: the first and every
    later odd convolution are followed by batch normalisation and ReLU, the second ("ConvolutionreluQuant") by ReLU,
    pooling, batch normalisation and ReLU, the fourth and sixth by pooling, batch normalisation and ReLU. All weights
    except the last layer's have `weight_bits`, and the outputs of all ReLUs `activation_bits`, by DoReFa; None leaves
    them float32. The network is trained with quantised weights and deployed (`freeze_weights`) with plain layers that
    hold them. DA gives no widths; we use 32, 32, 64, 64, 128, 128 channels and 128, 128 features.
    """

    def __init__(self, *, weight_bits: int | None, activation_bits: int | None) -> None:
        super().__init__()

        def convolution(inputs: int, channels: int) -> nn.Module:
            if weight_bits is None:
                return nn.Conv2d(inputs, channels, 3, padding=1)
            return QuantConv2d(inputs, channels, 3, padding=1, bits=weight_bits)

        def dense(inputs: int, features: int) -> nn.Module:
            return (
                nn.Linear(inputs, features) if weight_bits is None else QuantLinear(inputs, features, bits=weight_bits)
            )

        def relu() -> nn.Module:
            return nn.ReLU() if activation_bits is None else QuantReLU(bits=activation_bits)

        layers: list[nn.Module] = []
        inputs = 3
        for number, channels in enumerate(CHANNELS, start=1):
            layers.append(convolution(inputs, channels))
            if number == 2:
                layers.append(relu())
            if number % 2 == 0:
                layers.append(nn.MaxPool2d(2))
            layers += [nn.BatchNorm2d(channels), relu()]
            inputs = channels
        layers.append(nn.Flatten())
        inputs *= 16
        for features in FEATURES:
            layers += [dense(inputs, features), nn.BatchNorm1d(features), relu()]
            inputs = features
        layers.append(nn.Linear(inputs, 10))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, 10]."""
        return self.layers(images)  # type: ignore[no-any-return]  # torch types a module call as Any


def _network(name: str, weight_bits: int | None, activation_bits: int | None) -> ModelEntry:
    return ModelEntry(
        factory=partial(Table11, weight_bits=None, activation_bits=activation_bits),
        dataset="cifar10",
        recipe=replace(CIFAR10_ADAM, model=name, epochs=15),
        training_factory=partial(Table11, weight_bits=weight_bits, activation_bits=activation_bits),
        deploy=freeze_weights,
    )


DOREFA_FULL = _network("dorefa_full", 4, 4)
DOREFA_WEIGHT = _network("dorefa_weight", 4, None)
DOREFA_FLOAT = _network("dorefa_float", None, None)
