"""Settings of a training run, and the recipes that several networks share.

A recipe is the settings with which the committed weights of a network are trained; each network states its own in its
own file. Checkpoints and records hold the settings as JSON under the names and in the order of the fields below.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from circuits.errors import unknown_name
from cnn_eval.data.dataset_record import Source
from cnn_eval.support.seeds import MAX_SEED

__all__ = ["CIFAR10_ADAM", "CIFAR10_SGD", "Optimizer", "Precision", "TrainingSettings"]

Precision = Literal["float32", "bfloat16"]
Optimizer = Literal["adam", "sgd"]

_RANGES = (
    ("epochs", 1, 1e6),
    ("batch_size", 1, 1e6),
    ("learning_rate", 1e-9, 1),
    ("warmup", 0, 0.9),
    ("weight_decay", 0, 1),
    ("label_smoothing", 0, 0.99),
    ("rotation", 0, 180),
    ("shift", 0, 1e3),
    ("scale", 0, 0.9),
    ("crop", 0, 1e3),
    ("seed", 0, MAX_SEED),
    ("threads", 1, 1024),
)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Everything that determines the trained weights, apart from the machine and library versions.

    Augmentation: `rotation` in degrees, `shift` in pixels and `scale` as a fraction are the largest random changes of a
    training image, each drawn uniformly for every image; 0 switches a change off. `crop` shifts by a whole number of
    pixels, up to that many in each direction, and fills with black; `mirror` swaps left and right with probability 1/2.

    Optimisation: `optimizer` is Adam, or stochastic gradient descent with Nesterov momentum 0.9. The learning rate
    rises linearly from 0 to `learning_rate` over the first `warmup` of all steps (a fraction), and then falls to 0
    along half a cosine. `weight_decay` is the factor of an L2 penalty that is added to the gradient. `label_smoothing`
    is the probability mass that each target distributes evenly over all classes.

    Speed only: `precision` "bfloat16" (torch's mixed precision) and `channels_last` (memory layout of images). Weights
    and measured accuracy remain float32.
    """

    model: str = "lenet5"
    epochs: int = 30
    batch_size: int = 128
    optimizer: Optimizer = "adam"
    learning_rate: float = 2e-3
    warmup: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    rotation: float = 10.0
    shift: float = 2.0
    scale: float = 0.1
    crop: int = 0
    mirror: bool = False
    precision: Precision = "float32"
    channels_last: bool = False
    seed: int = 0
    data: Source = "full"
    threads: int = 2

    def __post_init__(self) -> None:
        for what, value, valid in (
            ("source", self.data, get_args(Source)),
            ("precision", self.precision, get_args(Precision)),
            ("optimizer", self.optimizer, get_args(Optimizer)),
        ):
            if value not in valid:
                raise unknown_name(what, value, valid)
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must lie from {low:g} to {high:g}, but got {value}; correct it.")


CIFAR10_ADAM = TrainingSettings(
    model="",
    epochs=20,
    rotation=0,
    shift=0,
    scale=0,
    crop=4,
    mirror=True,
    precision="bfloat16",
    channels_last=True,
    threads=1,
)
"""Base recipe for CIFAR-10: Adam with random crops and mirror images; networks replace `model` at least."""

CIFAR10_SGD = replace(
    CIFAR10_ADAM,
    epochs=40,
    optimizer="sgd",
    learning_rate=0.2,
    warmup=0.2,
    weight_decay=5e-4,
    label_smoothing=0.05,
)
"""Base recipe for CIFAR-10 networks with batch normalisation, which tolerate the large steps of gradient descent."""
