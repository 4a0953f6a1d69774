"""The networks by name, and their committed weights, which are verified against the record next to them.

A new network is a module with the network and its `ModelEntry`, and one line in MODELS. Listing the names loads no
torch: it is imported where a network is built or weights are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuits.errors import unknown_name
from circuits.support.lazy import LazyMapping

if TYPE_CHECKING:
    from torch import nn

    from cnn_eval.models.registration import ModelEntry

__all__ = ["MODELS", "WEIGHTS_FOLDER", "build", "has_committed_weights", "load_model", "model_entry", "weights_record"]

WEIGHTS_FOLDER = Path(__file__).parent.parent / "weights"

MODELS: Mapping[str, ModelEntry] = LazyMapping(
    {
        "lenet5": "cnn_eval.models.networks.lenet5:LENET5",
        "lenet5_brief": "cnn_eval.models.networks.lenet5:LENET5_BRIEF",
        "lenet5_plain": "cnn_eval.models.networks.lenet5:LENET5_PLAIN",
        "lenet5_long": "cnn_eval.models.networks.lenet5:LENET5_LONG",
        "lenet5_smooth": "cnn_eval.models.networks.lenet5:LENET5_SMOOTH",
        "alexnet": "cnn_eval.models.networks.alexnet:ALEXNET",
        "alexnet_smooth": "cnn_eval.models.networks.alexnet:ALEXNET_SMOOTH",
        "dorefa_full": "cnn_eval.models.networks.table11:DOREFA_FULL",
        "dorefa_weight": "cnn_eval.models.networks.table11:DOREFA_WEIGHT",
        "dorefa_float": "cnn_eval.models.networks.table11:DOREFA_FLOAT",
        "resnet8": "cnn_eval.models.networks.resnet:RESNET8",
        "resnet20": "cnn_eval.models.networks.resnet:RESNET20",
        "mobilenet_cifar": "cnn_eval.models.networks.mobilenet:MOBILENET_CIFAR",
    }
)
"""The networks by name; the name is also that of the recipe's model."""


def model_entry(name: str) -> ModelEntry:
    """The network registered as `name`. Raises UnknownNameError (a ValueError) naming the nearest valid names."""
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    return MODELS[name]


def build(name: str, *, seed: int, for_training: bool = False) -> nn.Module:
    """Builds an untrained network in training mode, initialised from `seed`; keeps torch's global generator unchanged.

    With `for_training`, the network is built in the form in which it is trained (see `ModelEntry`).
    """
    import torch

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
    from cnn_eval.support.verified_files import DataError, read_verified_tensors

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
    from cnn_eval.support.verified_files import DataError, read_record, record_field

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
