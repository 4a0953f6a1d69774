"""Retrains a network, measures it before and after, and writes its weights with a record."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from circuits.support.files import require_writable
from cnn_eval.layers.approximate_layers import approximate_layers
from cnn_eval.measure.network_accuracy import AccuracyResult, difference, is_user_model
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import model_entry
from cnn_eval.models.training_progress import training_progress
from cnn_eval.quantized.quantized_files import save_quantized
from cnn_eval.quantized.quantized_layers import layers_of_integers
from cnn_eval.retraining.finetune_settings import FinetuneSettings
from cnn_eval.retraining.finetuning import default_backward, finetune
from cnn_eval.retraining.training_images import TrainAndTest
from cnn_eval.support.verified_files import read_record, sha256, write_record, write_tensors_with_record

__all__ = ["Retrained", "augmentation_of", "check_out", "finetune_to_file"]

ENDING = ".safetensors"


@dataclass(frozen=True)
class Retrained:
    """What `finetune_to_file` measured on the test images, and the record beside the weights."""

    before: AccuracyResult
    after: AccuracyResult
    record: dict[str, Any]


def check_out(out: Path, model: str, *, fresh: bool) -> None:
    """Raises ValueError, before any work, where the result cannot be written or the network is not to be retrained."""
    if out.suffix != ENDING:
        raise ValueError(f"--out must end in {ENDING}, but is {out}; rename it.")
    if out.exists() and not fresh:
        raise ValueError(f"{out} exists already; finetune with --fresh to replace it or choose another --out.")
    if not is_user_model(model) and model_entry(model).training_factory is not None:
        raise ValueError(
            f"{model} is trained in another form than it is used in and cannot be retrained through a design; choose "
            "another model."
        )
    require_writable(out.parent)


def augmentation_of(model: str) -> dict[str, Any]:
    """How the recipe of a network changes training images; nothing for a user's network."""
    if is_user_model(model):
        return {}
    recipe = model_entry(model).recipe
    names = ("rotation", "shift", "scale", "crop", "mirror", "label_smoothing")
    return {name: getattr(recipe, name) for name in names}


def finetune_to_file(
    network: nn.Module,
    settings: FinetuneSettings,
    data: TrainAndTest,
    out: Path,
    *,
    fresh: bool = False,
    progress: bool = True,
) -> Retrained:
    """Retrains (or resumes) and writes `out` and its record; a checkpoint stands beside them until then.

    A quantised network is written as `save_quantized` does, a float one as plain tensors. See `finetune`.
    """
    check_out(out, settings.model, fresh=fresh)
    checkpoint = out.with_suffix(f".checkpoint{ENDING}")
    if fresh:
        checkpoint.unlink(missing_ok=True)
    before = _measured(network, data)
    with training_progress(settings, len(data.images), verb="retraining", enabled=progress) as shown:
        retrained = finetune(
            network,
            data.images,
            data.labels,
            settings,
            checkpoint=checkpoint,
            on_epoch=shown.on_epoch,
            on_batch=shown.on_batch,
        )
    after = _measured(retrained, data)
    moved, interval = difference(after, before)
    layers = approximate_layers(network)
    record = {
        "model": settings.model,
        "script": "python -m cnn_eval finetune",
        "settings": {**asdict(settings), "backward": settings.backward or default_backward(network)},
        "designs": {name: _identity(layer.design) for name, layer in layers.items()},
        "data": f"{data.described}, {len(data.images)} images",
        "accuracy": {"before": _numbers(before), "after": _numbers(after)},
        "difference": {"accuracy": moved, "interval": interval},
        "training_losses": shown.losses,
        "selection": "last weights after a fixed number of epochs; test images serve only the accuracy above",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "date": datetime.now(UTC).date().isoformat(),
    }
    if layers_of_integers(retrained):
        save_quantized(retrained, out)
        content = out.read_bytes()
        write_record(
            out.with_suffix(".json"),
            {**record, "file": out.name, "bytes": len(content), "sha256": sha256(content)},
        )
    else:
        write_tensors_with_record(out, retrained.state_dict(), record)
    checkpoint.unlink(missing_ok=True)
    return Retrained(before, after, read_record(out.with_suffix(".json"), advice="run again"))


def _measured(network: nn.Module, data: TrainAndTest) -> AccuracyResult:
    return AccuracyResult((predict(network, data.test_images) == data.test_labels).numpy())


def _numbers(measured: AccuracyResult) -> dict[str, Any]:
    return {"correct": int(measured.correct.sum()), "images": measured.correct.size, "percent": 100 * measured.accuracy}


def _identity(design: Any) -> str:
    return f"{design.label} {design.digest}"
