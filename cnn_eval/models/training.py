"""Trains a network and writes its weights with a record of how they were trained."""

from __future__ import annotations

import argparse
import platform
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import torch
from torch import nn

from circuits.support.cli import Parser, guarded, integer, say
from circuits.support.files import require_writable
from circuits.support.progress import progress_bars
from cnn_eval.data.dataset_record import Source
from cnn_eval.data.loading import LabelledImages, load
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import MODELS, model_entry
from cnn_eval.models.training_loop import EpochReport, train
from cnn_eval.models.training_settings import Optimizer, Precision, TrainingSettings
from cnn_eval.support.seeds import MAX_SEED
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
        raise ValueError(
            f"{path} exists already; train with --fresh to replace it or choose another --out."
        )
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
        "script": f"python -m cnn_eval.models.training {settings.model}",
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
    losses: list[float] = []
    with progress_bars(enabled=enabled, transient=False) as bars:
        task = bars.add_task(f"training {settings.model}", total=settings.epochs * len(images))

        def report(epoch: EpochReport) -> None:
            losses.append(epoch.loss)
            bars.update(
                task, description=f"{settings.model} epoch {epoch.number}/{settings.epochs} loss {epoch.loss:.4f}"
            )

        model = train(
            settings,
            images,
            checkpoint=checkpoint,
            on_epoch=report,
            on_batch=lambda images_done: bars.update(task, completed=images_done),
        )
    return model, losses


def _accuracy(model: nn.Module, images: LabelledImages) -> dict[str, float]:
    correct = int((predict(model, images.images) == images.labels).sum())
    return {"correct": correct, "images": len(images), "percent": round(100 * correct / len(images), 2)}


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m cnn_eval.models.training",
        description="Trains a network and writes its weights and a record. A killed run resumes when started again.",
    )
    parser.add_argument("model", help="network: " + ", ".join(MODELS))
    # The model's recipe supplies every setting that is not given.
    for name, kind, text in (
        ("epochs", integer(1), "passes over the training images"),
        ("batch-size", integer(1), "images per step"),
        ("learning-rate", float, "peak learning rate"),
        ("warmup", float, "fraction of all steps in which the learning rate rises"),
        ("weight-decay", float, "factor of the L2 penalty"),
        ("label-smoothing", float, "probability mass that each target distributes over all classes"),
        ("rotation", float, "augmentation: largest angle, degrees"),
        ("shift", float, "augmentation: largest shift, pixels"),
        ("scale", float, "augmentation: largest change of size, fraction"),
        ("crop", integer(0), "augmentation: largest shift by whole pixels"),
        ("seed", integer(0, MAX_SEED), "determines every random choice"),
        ("threads", integer(1), "CPU threads"),
    ):
        parser.add_argument(f"--{name}", type=kind, help=f"{text} (default: the model's recipe)")
    parser.add_argument("--mirror", action=argparse.BooleanOptionalAction, help="augmentation: swap left and right")
    parser.add_argument("--optimizer", choices=get_args(Optimizer), help="Adam, or gradient descent with momentum")
    parser.add_argument(
        "--channels-last", action=argparse.BooleanOptionalAction, help="memory layout of images, for speed"
    )
    parser.add_argument("--precision", choices=get_args(Precision), help="of the forward and backward passes")
    parser.add_argument("--data", choices=get_args(Source), help="training images")
    parser.add_argument("--folder", type=Path, help="where the full data set lies (default: the user's cache folder)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/training"), help="folder for weights, record, checkpoint"
    )
    parser.add_argument("--fresh", action="store_true", help="start anew, replacing weights and checkpoint")
    return parser


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    options = vars(_parser().parse_args(argv))
    out, folder, fresh = options.pop("out"), options.pop("folder"), options.pop("fresh")

    def run() -> int:
        recipe = model_entry(options.pop("model")).recipe
        given = {key: value for key, value in options.items() if value is not None}
        record = train_to_file(replace(recipe, **given), out, folder=folder, fresh=fresh)
        say(f"{out / record['file']}  sha256 {record['sha256']}")
        for source, accuracy in record["accuracy"].items():
            counts = f"{accuracy['correct']}/{accuracy['images']}"
            print(f"accuracy on the {source} test set: {accuracy['percent']:.2f} % ({counts})")
        return 0

    return guarded(run)


if __name__ == "__main__":
    raise SystemExit(main())
