"""Default budgets of attacks: the convention for the data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from cnn_eval.data.dataset_registry import DATASETS

__all__ = ["BUDGETS", "Budget", "data_set_alike", "default_budget"]


@dataclass(frozen=True)
class Budget:
    """`epsilon` on pixels in [0, 1], in the norm that was asked for; `reason`: why it is the default, in words."""

    epsilon: float
    reason: str


_ROBUSTBENCH = "the convention for CIFAR-10 (Croce et al., RobustBench, NeurIPS 2021)"
BUDGETS: Mapping[str, Mapping[str, Budget]] = MappingProxyType(
    {
        "mnist": {
            "linf": Budget(
                0.1,
                "for MNIST networks without a defence it leaves some images unfooled, so that two can be compared; "
                "0.3 is the convention for adversarially trained ones (Madry et al., ICLR 2018)",
            ),
            "l2": Budget(1.5, "usual for MNIST (Rony et al., CVPR 2019)"),
        },
        "cifar10": {"linf": Budget(8 / 255, f"8/255, {_ROBUSTBENCH}"), "l2": Budget(0.5, _ROBUSTBENCH)},
        "imagenet": {
            "linf": Budget(4 / 255, "4/255, the convention for ImageNet (RobustBench)"),
            "l2": Budget(3.0, "usual for ImageNet (Engstrom et al., robustness, 2019)"),
        },
    }
)
"""Data set -> norm -> budget. There is no convention for l0."""


def default_budget(norm: str, image: Sequence[int], dataset: str | None = None) -> Budget | None:
    """The budget in `norm` for images of shape `image`, [C, H, W], of `dataset`; None where there is no convention.

    `dataset` None means a user's own images. They get the budget of the data set with images of their shape (MNIST,
    CIFAR-10, ImageNet from 3 x 64 x 64 on), or that of CIFAR-10 where there is none.
    """
    like = dataset or data_set_alike(image)
    budget = BUDGETS.get(like or "cifar10", {}).get(norm)
    if budget is None or dataset is not None:
        return budget
    shape = " x ".join(map(str, image))
    if like is None:
        return Budget(budget.epsilon, f"no convention is known for own images of {shape}; this is {budget.reason}")
    return Budget(budget.epsilon, f"own images of {shape}, taken as {like}: {budget.reason}")


def data_set_alike(image: Sequence[int]) -> str | None:
    """The data set that a user's images of shape `image`, [C, H, W], are treated as; None where there is none."""
    for name, entry in DATASETS.items():
        if entry.image_shape == tuple(image):
            return name
    return "imagenet" if image[0] == 3 and min(image[1:]) >= 64 else None
