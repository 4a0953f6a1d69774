"""Trains a network and writes its weights with a record of how they were trained."""

from __future__ import annotations

import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from circuits.support.files import require_writable
from cnn_eval.data.loading import LabelledImages, load
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import model_entry
from cnn_eval.models.training_loop import train
from cnn_eval.models.training_progress import training_progress
from cnn_eval.models.training_settings import TrainingSettings
from cnn_eval.support.verified_files import write_tensors_with_record

__all__ = ["train_to_file"]


def train_to_file(
    settings: TrainingSettings, out: Path, *, folder: Path | None = None, fresh: bool = False, progress: bool = True
) -> dict[str, Any]:
    """Trains (or resumes) and writes MODEL.safetensors and its record MODEL.json into `out`; returns the record.

    `folder` holds the full data set. Existing weights are overwritten only with `fresh`, which also drops a checkpoint.
    """
    entry = model_entry(settings.model)
    path = out / entry.weights
    checkpoint = path.with_suffix(".checkpoint.safetensors")
    if path.exists() and not fresh:
        raise ValueError(f"{path} exists already; train with --fresh to replace it or choose another --out.")
    require_writable(out)
    full_folder = folder if settings.data == "full" else None
    images = load(entry.dataset, "train", source=settings.data, folder=full_folder)
    test_sets = [load(entry.dataset, "test")]
    if settings.data == "full":
        test_sets.append(load(entry.dataset, "test", source="full", folder=folder))
    if fresh:
        checkpoint.unlink(missing_ok=True)
    model, losses = _train_with_progress(settings, images, checkpoint, enabled=progress)
    record = {
        "model": settings.model,
        "script": f"python -m cnn_eval train {settings.model}",
        "settings": asdict(settings),
        "data": f"{entry.dataset}, {settings.data} training set, {len(images)} images",
        "accuracy": {test_set.source: _accuracy(model, test_set) for test_set in test_sets},
        "final_training_loss": losses[-1] if losses else None,
        "selection": "last weights after a fixed number of epochs; test images serve only the accuracy above",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "date": datetime.now(UTC).date().isoformat(),
    }
    record = write_tensors_with_record(path, model.state_dict(), record)
    checkpoint.unlink(missing_ok=True)
    return record


def _train_with_progress(
    settings: TrainingSettings, images: LabelledImages, checkpoint: Path, *, enabled: bool
) -> tuple[nn.Module, list[float]]:
    """The trained network and the training loss of each epoch trained in this run."""
    with training_progress(settings, len(images), enabled=enabled) as progress:
        model = train(settings, images, checkpoint=checkpoint, on_epoch=progress.on_epoch, on_batch=progress.on_batch)
    return model, progress.losses


def _accuracy(model: nn.Module, images: LabelledImages) -> dict[str, float]:
    correct = int((predict(model, images.images) == images.labels).sum())
    return {"correct": correct, "images": len(images), "percent": round(100 * correct / len(images), 2)}
