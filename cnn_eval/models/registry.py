"""Networks and their committed weights, checked against the record beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from circuits.errors import unknown_name
from cnn_eval.models.alexnet import AlexNet
from cnn_eval.models.lenet5 import LeNet5
from cnn_eval.models.quantization import freeze_weights
from cnn_eval.models.table11 import Table11
from cnn_eval.support.verified_files import DataError, field, read_record, read_tensors

__all__ = [
    "MODELS",
    "AlexNet",
    "LeNet5",
    "ModelEntry",
    "Table11",
    "build",
    "check_logits",
    "load_model",
    "logits",
    "model_entry",
    "predict",
    "weights_record",
]

MAX_SEED = 2**32 - 1
"""Largest seed: what every generator takes, torch's and NumPy's."""
WEIGHTS_FOLDER = Path(__file__).parent.parent / "weights"
BATCH_SIZE = 500
"""Images a forward pass where the caller does not say."""


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """A network by name: how to build it, the data set it is for, its weights file in `cnn_eval/weights`.

    Where it is trained in another form, `trained` builds that form and `finish` turns it, trained, into `factory`'s.
    """

    factory: Callable[[], nn.Module]
    dataset: str
    weights: str
    trained: Callable[[], nn.Module] | None = None
    finish: Callable[[Any], nn.Module] = lambda model: model


def _table11(name: str, weight_bits: int | None, activation_bits: int | None) -> ModelEntry:
    return ModelEntry(
        factory=partial(Table11, weight_bits=None, activation_bits=activation_bits),
        dataset="cifar10",
        weights=f"{name}.safetensors",
        trained=partial(Table11, weight_bits=weight_bits, activation_bits=activation_bits),
        finish=freeze_weights,
    )


MODELS: Mapping[str, ModelEntry] = MappingProxyType(
    {
        "lenet5": ModelEntry(factory=LeNet5, dataset="mnist", weights="lenet5.safetensors"),
        "alexnet": ModelEntry(factory=AlexNet, dataset="cifar10", weights="alexnet.safetensors"),
        "dorefa_full": _table11("dorefa_full", 4, 4),
        "dorefa_weight": _table11("dorefa_weight", 4, None),
        "dorefa_float": _table11("dorefa_float", None, None),
    }
)


def model_entry(name: str) -> ModelEntry:
    """The entry of `MODELS`. Raises UnknownNameError (a ValueError) naming the nearest valid names."""
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    return MODELS[name]


def build(name: str, *, seed: int, trained: bool = False) -> nn.Module:
    """An untrained network in training mode, initialised from `seed`; torch's global generator is left alone.

    `trained`: in the form in which it is trained (see `ModelEntry`).
    """
    entry = model_entry(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return (entry.trained if trained and entry.trained else entry.factory)()


def load_model(name: str, weights: Path | str | None = None) -> nn.Module:
    """A trained network in evaluation mode on the CPU.

    `weights`: a safetensors file with its record, the same name with .json, beside it; by default the committed ones.
    Raises UnknownNameError for an unknown model, DataError when weights or record are missing, truncated or altered or
    belong to another model.
    """
    path = _weights_path(name, weights)
    record = weights_record(name, weights)
    advice = _advice(name)
    tensors = read_tensors(path, size=record["bytes"], digest=record["sha256"], advice=advice)
    model = build(name, seed=0)
    wanted = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    if {key: tuple(tensor.shape) for key, tensor in tensors.items()} != wanted:
        raise DataError(
            f"{path} must hold the tensors of {name}, but holds {', '.join(sorted(tensors)) or 'none'}; {advice}."
        )
    model.load_state_dict(tensors)
    return model.eval()


def weights_record(name: str, weights: Path | str | None = None) -> dict[str, Any]:
    """The record of a weights file: script, settings, data, accuracy, date, SHA-256. Raises as `load_model` does."""
    path = _weights_path(name, weights).with_suffix(".json")
    advice = _advice(name)
    record = read_record(path, advice=advice)
    for key, kind in (("model", str), ("bytes", int), ("sha256", str)):
        field(record, key, kind, path, advice=advice)
    if record["model"] != name:
        raise DataError(f"{path} must be the record of {name}, but is that of {record['model']}; name the right model.")
    return record


def logits(model: nn.Module, images: torch.Tensor, *, batch_size: int = BATCH_SIZE) -> torch.Tensor:
    """Logits [N, classes] of images [N, C, H, W], in batches, without gradients, in the model's present mode.

    Raises DataError where the model returns something else.
    """
    with torch.no_grad():
        return torch.cat([check_logits(model(batch)) for batch in torch.split(images, batch_size)])


def predict(model: nn.Module, images: torch.Tensor, *, batch_size: int = BATCH_SIZE) -> torch.Tensor:
    """The most likely class of each image, int64 [N]; the lowest class wins a tie."""
    return logits(model, images, batch_size=batch_size).argmax(1)


def check_logits(output: Any) -> torch.Tensor:
    """What a model returned, a tensor [N, classes]; DataError where it is something else."""
    if not isinstance(output, torch.Tensor) or output.dim() != 2:
        shape = list(output.shape) if isinstance(output, torch.Tensor) else f"a {type(output).__name__}"
        raise DataError(f"the model must return logits [N, classes], but returned {shape}; adapt it.")
    return output


@contextmanager
def at_rest(*models: nn.Module) -> Iterator[None]:
    """The models in evaluation mode, no parameter with a gradient; both are restored."""
    modules = {module for model in models for module in model.modules()}
    modes = [(module, module.training) for module in modules]
    needed = {parameter for model in models for parameter in model.parameters() if parameter.requires_grad}
    try:
        for model in models:
            model.eval()
        for parameter in needed:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in needed:
            parameter.requires_grad_(True)
        for module, training in modes:
            module.training = training


def _weights_path(name: str, weights: Path | str | None) -> Path:
    entry = model_entry(name)
    return WEIGHTS_FOLDER / entry.weights if weights is None else Path(weights)


def _advice(name: str) -> str:
    return f"restore it from the project's repository or train again with `python -m cnn_eval train {name}`"
