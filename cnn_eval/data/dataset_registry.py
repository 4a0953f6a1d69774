"""The data sets by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from circuits.errors import unknown_name
from cnn_eval.data.cifar10 import CIFAR10
from cnn_eval.data.dataset_record import DataSet
from cnn_eval.data.mnist import MNIST

__all__ = ["DATASETS", "dataset"]

DATASETS: Mapping[str, DataSet] = MappingProxyType(
    {
        "mnist": MNIST,
        "cifar10": CIFAR10,
    }
)


def dataset(name: str) -> DataSet:
    """The data set registered as `name`. Raises UnknownNameError (a ValueError) naming the nearest valid names."""
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    return DATASETS[name]
