"""The networks by name, and their committed weights, which are verified against the record next to them.

To add a network, write one module with the network and its `ModelEntry`, and register it in `MODELS` below.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from circuits.errors import unknown_name
from cnn_eval.models.networks.alexnet import ALEXNET
from cnn_eval.models.networks.lenet5 import LENET5
from cnn_eval.models.networks.mobilenet import MOBILENET_CIFAR
from cnn_eval.models.networks.resnet import RESNET8, RESNET20
from cnn_eval.models.networks.table11 import DOREFA_FLOAT, DOREFA_FULL, DOREFA_WEIGHT
from cnn_eval.models.registration import ModelEntry
from cnn_eval.support.verified_files import DataError, read_record, read_verified_tensors, record_field

__all__ = ["MODELS", "WEIGHTS_FOLDER", "build", "has_committed_weights", "load_model", "model_entry", "weights_record"]

WEIGHTS_FOLDER = Path(__file__).parent.parent / "weights"

MODELS: Mapping[str, ModelEntry] = MappingProxyType(
    {
        model.name: model
        for model in (
            LENET5,
            ALEXNET,
            DOREFA_FULL,
            DOREFA_WEIGHT,
            DOREFA_FLOAT,
            RESNET8,
            RESNET20,
            MOBILENET_CIFAR,
        )
    }
)


def model_entry(name: str) -> ModelEntry:
    """The network registered as `name`. Raises UnknownNameError (a ValueError) naming the nearest valid names."""
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    return MODELS[name]


def build(name: str, *, seed: int, for_training: bool = False) -> nn.Module:
    """Builds an untrained network in training mode, initialised from `seed`; keeps torch's global generator unchanged.

    With `for_training`, the network is built in the form in which it is trained (see `ModelEntry`).
    """
    model = model_entry(name)
    factory = model.training_factory if for_training and model.training_factory else model.factory
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory()


def has_committed_weights(name: str) -> bool:
    """Whether the project contains trained weights of this network."""
    return (WEIGHTS_FOLDER / model_entry(name).weights).exists()


def load_model(name: str, weights: Path | str | None = None) -> nn.Module:
    """Loads a trained network in evaluation mode on the CPU.

    `weights` is a safetensors file whose record has the same name with .json; the committed weights by default. Raises
    UnknownNameError for an unknown model; DataError when the weights or the record are missing, truncated or altered,
    or belong to another model.
    """
    path = _weights_path(name, weights)
    record = weights_record(name, weights)
    advice = _advice(name)
    tensors = read_verified_tensors(path, size=record["bytes"], digest=record["sha256"], advice=advice)
    model = build(name, seed=0)
    expected_shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    if {key: tuple(tensor.shape) for key, tensor in tensors.items()} != expected_shapes:
        raise DataError(
            f"{path} must hold the tensors of {name}, but holds {', '.join(sorted(tensors)) or 'none'}; {advice}."
        )
    model.load_state_dict(tensors)
    return model.eval()


def weights_record(name: str, weights: Path | str | None = None) -> dict[str, Any]:
    """The record of a weights file: script, settings, data, accuracy, date, SHA-256. Raises as `load_model` does."""
    path = _weights_path(name, weights).with_suffix(".json")
    if weights is None and not path.exists() and not has_committed_weights(name):
        raise DataError(
            f"no weights of {name} are committed yet; train them with "
            f"`python -m cnn_eval train {name}` and give the file as weights."
        )
    advice = _advice(name)
    record = read_record(path, advice=advice)
    for key, kind in (("model", str), ("bytes", int), ("sha256", str)):
        record_field(record, key, kind, path, advice=advice)
    if record["model"] != name:
        raise DataError(f"{path} is the record of {record['model']}, not of {name}; name the right model.")
    return record


def _weights_path(name: str, weights: Path | str | None) -> Path:
    return WEIGHTS_FOLDER / model_entry(name).weights if weights is None else Path(weights)


def _advice(name: str) -> str:
    return f"restore it from the project's repository or train again with `python -m cnn_eval train {name}`"
