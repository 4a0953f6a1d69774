"""Checkpoints of a training run, from which a killed run continues bit for bit.

A checkpoint is a safetensors file with the network's tensors as "model.KEY" and the optimiser's moments as
"optimizer.MOMENT.PARAMETER". Its metadata hold the settings as JSON, the number of finished epochs, and a digest of
epoch and tensors, so that a truncated or altered file is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_safetensors
from torch import nn

from circuits.support.documents import parse_json
from circuits.support.files import open_file
from cnn_eval.models.training_settings import TrainingSettings
from cnn_eval.support.verified_files import DataError, sha256, write_atomically

__all__ = ["restore_checkpoint", "write_checkpoint"]

MAX_CHECKPOINT_BYTES = 8 << 30
"""Largest checkpoint read, in bytes."""
_MOMENTS: Mapping[str, tuple[str, ...]] = {"adam": ("step", "exp_avg", "exp_avg_sq"), "sgd": ("momentum_buffer",)}
"""What each optimiser keeps for a parameter, under torch's names."""


def write_checkpoint(
    path: Path, settings: TrainingSettings, model: nn.Module, optimizer: torch.optim.Optimizer, epochs_done: int
) -> None:
    """Writes the state after `epochs_done` epochs, atomically."""
    tensors = {f"model.{key}": tensor for key, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        tensors.update({f"optimizer.{key}.{name}": value for key, value in optimizer.state[parameter].items()})
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    metadata = {
        "settings": json.dumps(asdict(settings)),
        "epoch": str(epochs_done),
        "digest": _digest(tensors, epochs_done),
    }
    write_atomically(path, save_safetensors(tensors, metadata))


def restore_checkpoint(
    path: Path, settings: TrainingSettings, model: nn.Module, optimizer: torch.optim.Optimizer
) -> int:
    """Brings model and optimiser to the state in `path` and returns the number of finished epochs.

    Raises DataError for a damaged checkpoint, ValueError for one that was written with other settings.
    """
    advice = "delete it or train with --fresh"
    try:
        with (
            open_file(path, limit=MAX_CHECKPOINT_BYTES, error=DataError, advice=advice),
            safe_open(path, framework="pt") as stream,
        ):
            metadata = stream.metadata() or {}
            tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118  # no iterator of its own
        stored, epochs_done = parse_json(metadata["settings"], str(path)), int(metadata["epoch"])
    except DataError:
        raise
    except (SafetensorError, KeyError, ValueError):
        raise DataError(f"{path} is not a complete checkpoint: it is truncated or altered; {advice}.") from None
    if metadata.get("digest") != _digest(tensors, epochs_done):
        raise DataError(f"{path} is not a complete checkpoint: it is truncated or altered; {advice}.")
    if stored != asdict(settings):
        changed = [f"{key}={stored.get(key)}" for key, value in asdict(settings).items() if stored.get(key) != value]
        raise ValueError(
            f"a run must be resumed with its own settings, but {path} was written with {', '.join(changed)}; "
            f"repeat them, {advice}."
        )
    model.load_state_dict(
        {key.removeprefix("model."): value for key, value in tensors.items() if key.startswith("model.")}
    )
    for name, parameter in model.named_parameters():
        moments = {key: f"optimizer.{key}.{name}" for key in _MOMENTS[settings.optimizer]}
        if set(moments.values()) <= tensors.keys():  # a parameter that has had no gradient has none
            # Adam counts its steps on the CPU, wherever the parameter is.
            optimizer.state[parameter] = {
                key: tensors[tensor] if key == "step" else tensors[tensor].to(parameter.device)
                for key, tensor in moments.items()
            }
    return epochs_done


def _digest(tensors: Mapping[str, torch.Tensor], epochs_done: int) -> str:
    lines = [f"{epochs_done}"]
    for key in sorted(tensors):
        lines.append(f"{key} {tuple(tensors[key].shape)} {sha256(tensors[key].numpy().tobytes())}")
    return sha256("\n".join(lines).encode())
