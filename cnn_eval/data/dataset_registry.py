"""The data sets by name.

A new data set is a module with a `DataSet` and one line in DATASETS. Listing the names loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from circuits.errors import unknown_name
from circuits.support.lazy import LazyMapping

if TYPE_CHECKING:
    from cnn_eval.data.dataset_record import DataSet

__all__ = ["DATASETS", "dataset"]

DATASETS: Mapping[str, DataSet] = LazyMapping(
    {
        "mnist": "cnn_eval.data.mnist:MNIST",
        "cifar10": "cnn_eval.data.cifar10:CIFAR10",
    }
)


def dataset(name: str) -> DataSet:
    """The data set registered as `name`. Raises UnknownNameError (a ValueError) naming the nearest valid names."""
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    return DATASETS[name]
