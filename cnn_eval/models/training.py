"""Trains a network and writes its weights with a record of how: Adam, cosine learning rate, fixed number of epochs.

The last weights are kept: no epoch is chosen by its accuracy. Every random choice of an epoch (order, augmentation)
follows from (seed, epoch) alone, so a run that was killed and resumed gives the weights of an uninterrupted one, bit
for bit, on the same machine with the same number of threads.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_safetensors
from torch import nn
from torch.nn import functional

from circuits.errors import unknown_name
from circuits.support.documents import parse_json
from circuits.support.files import open_file, require_writable
from circuits.support.terminal import screen
from cnn_eval.data.loading import Images, Source, load
from cnn_eval.models.registry import MAX_SEED, build, model_entry, predict
from cnn_eval.support.verified_files import DataError, sha256, write_atomically, write_record

__all__ = ["Epoch", "Settings", "augment", "train", "train_to_file"]


RANGES = (
    ("epochs", 1, 1e6),
    ("batch_size", 1, 1e6),
    ("learning_rate", 1e-9, 1),
    ("rotation", 0, 180),
    ("shift", 0, 1e3),
    ("scale", 0, 0.9),
    ("crop", 0, 1e3),
    ("seed", 0, MAX_SEED),
    ("threads", 1, 1024),
)


Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides the weights, beside machine and library versions.

    `rotation` in degrees, `shift` in pixels and `scale` as a fraction are the largest random changes of a training
    image, each drawn uniformly and per image; 0 leaves it out. `crop` shifts by whole pixels, up to that many either
    way, black outside; `mirror` swaps left and right of every second image at random. The learning rate falls from
    `learning_rate` to 0 along half a cosine. `precision` "bfloat16": torch's mixed precision, for speed; weights and
    measured accuracy stay float32.
    """

    model: str = "lenet5"
    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 2e-3
    rotation: float = 10.0
    shift: float = 2.0
    scale: float = 0.1
    crop: int = 0
    mirror: bool = False
    precision: Precision = "float32"
    seed: int = 0
    data: Source = "full"
    threads: int = 2

    def __post_init__(self) -> None:
        model_entry(self.model)
        if self.data not in get_args(Source):
            raise unknown_name("source", self.data, get_args(Source))
        if self.precision not in get_args(Precision):
            raise unknown_name("precision", self.precision, get_args(Precision))
        for name, low, high in RANGES:
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"{name} must lie from {low:g} to {high:g}, but got {getattr(self, name)}; correct it."
                )


MAX_CHECKPOINT_BYTES = 8 << 30
"""Largest checkpoint read, in bytes."""
_PHOTOGRAPHS = Settings(
    model="alexnet",
    epochs=20,
    rotation=0,
    shift=0,
    scale=0,
    crop=4,
    mirror=True,
    precision="bfloat16",
    threads=1,
)
RECIPES: Mapping[str, Settings] = MappingProxyType(
    {
        "lenet5": Settings(),
        "alexnet": replace(_PHOTOGRAPHS, learning_rate=1e-3),
        **{
            name: replace(_PHOTOGRAPHS, model=name, epochs=15)
            for name in ("dorefa_full", "dorefa_weight", "dorefa_float")
        },
    }
)
"""The settings with which the committed weights were made, by model."""


class Epoch(NamedTuple):
    """What `train` reports after each epoch (counted from 1): the mean training loss."""

    number: int
    loss: float


Report = Callable[[Epoch], None]


def train(
    settings: Settings,
    images: Images,
    *,
    checkpoint: Path | None = None,
    on_epoch: Report | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> nn.Module:
    """Trains on `images` and returns the network in evaluation mode.

    With `checkpoint`, the state is written there after every epoch, and a run continues from what is there. Raises
    DataError when the checkpoint is damaged, ValueError when it belongs to other settings. `on_batch` gets the number
    of images done.
    """
    mixed = settings.precision == "bfloat16"
    model = build(settings.model, seed=settings.seed, trained=True)
    if mixed:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stub
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    first = _restore(checkpoint, settings, model, optimizer) if checkpoint is not None and checkpoint.exists() else 0
    batches = math.ceil(len(images) / settings.batch_size)
    with _threads(settings.threads):
        model.train()
        for epoch in range(first, settings.epochs):
            seed = settings.seed * 1_000_003 + epoch
            generator = torch.Generator().manual_seed(seed)
            order = torch.randperm(len(images), generator=generator)
            total = 0.0
            # dropout draws from the global generator
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                for step, chosen in enumerate(torch.split(order, settings.batch_size)):
                    done = (epoch * batches + step) / (settings.epochs * batches)
                    for group in optimizer.param_groups:
                        group["lr"] = settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
                    batch = augment(images.images[chosen], settings, generator)
                    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                        outputs = model(batch.to(memory_format=torch.channels_last) if mixed else batch)
                    loss = functional.cross_entropy(outputs.float(), images.labels[chosen])
                    optimizer.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
                    total += float(loss.detach()) * len(chosen)
                    if on_batch is not None:
                        on_batch(epoch * len(images) + min((step + 1) * settings.batch_size, len(images)))
            if checkpoint is not None:
                write_atomically(checkpoint, _checkpoint(settings, model, optimizer, epoch + 1))
            if on_epoch is not None:
                on_epoch(Epoch(epoch + 1, total / len(images)))
    return model_entry(settings.model).finish(model.eval())


def augment(images: torch.Tensor, settings: Settings, generator: torch.Generator) -> torch.Tensor:
    """Randomly changed copies of images [N, C, H, W] (see `Settings`); bilinear where not by whole pixels."""
    if settings.mirror:
        swapped = torch.rand(len(images), generator=generator) < 0.5
        images = torch.where(swapped[:, None, None, None], images.flip(3), images)
    if settings.crop:
        images = _crop(images, settings.crop, generator)
    if not (settings.rotation or settings.shift or settings.scale):
        return images
    random = torch.rand(4, len(images), generator=generator) * 2 - 1
    angle = random[0] * math.radians(settings.rotation)
    scale = 1 + random[1] * settings.scale
    # affine_grid measures in half image sizes: a shift by one pixel is 2 / size.
    shift_x, shift_y = (random[2 + i] * settings.shift * 2 / images.shape[3 - i] for i in range(2))
    cos, sin = angle.cos() / scale, angle.sin() / scale
    matrix = torch.stack([torch.stack([cos, -sin, shift_x], 1), torch.stack([sin, cos, shift_y], 1)], 1)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def _crop(images: torch.Tensor, most: int, generator: torch.Generator) -> torch.Tensor:
    """Each image shifted by its own number of whole pixels, up to `most` in each direction; black outside."""
    count, channels, height, width = images.shape
    padded = functional.pad(images, [most] * 4)
    top, left = torch.randint(2 * most + 1, (2, count, 1), generator=generator)
    rows = (top + torch.arange(height))[:, None, :, None]
    columns = (left + torch.arange(width))[:, None, None, :]
    which, channel = torch.arange(count)[:, None, None, None], torch.arange(channels)[None, :, None, None]
    return padded[which, channel, rows, columns]


def train_to_file(
    settings: Settings, out: Path, *, folder: Path | None = None, fresh: bool = False, progress: bool = True
) -> dict[str, Any]:
    """Trains (or resumes) and writes MODEL.safetensors and its record MODEL.json into `out`; returns the record.

    `folder` is where the full data set lies. Finished weights are overwritten only with `fresh`, which also drops a
    checkpoint.
    """
    entry = model_entry(settings.model)
    path = out / entry.weights
    checkpoint = path.with_suffix(".checkpoint.safetensors")
    if path.exists() and not fresh:
        raise ValueError(
            f"{path} must not exist yet, but does; train with --fresh to replace it or choose another --out."
        )
    require_writable(out)
    full_folder = folder if settings.data == "full" else None
    images = load(entry.dataset, "train", source=settings.data, folder=full_folder)
    tests = [load(entry.dataset, "test")]
    if settings.data == "full":
        tests.append(load(entry.dataset, "test", source="full", folder=folder))
    if fresh:
        checkpoint.unlink(missing_ok=True)
    losses: list[float] = []
    with _progress(enabled=progress) as bars:
        task = bars.add_task(f"training {settings.model}", total=settings.epochs * len(images))

        def report(epoch: Epoch) -> None:
            losses.append(epoch.loss)
            bars.update(
                task, description=f"{settings.model} epoch {epoch.number}/{settings.epochs} loss {epoch.loss:.4f}"
            )

        model = train(
            settings,
            images,
            checkpoint=checkpoint,
            on_epoch=report,
            on_batch=lambda done: bars.update(task, completed=done),
        )
    weights = save_safetensors({key: tensor.contiguous() for key, tensor in model.state_dict().items()})
    record = {
        "model": settings.model,
        "file": path.name,
        "bytes": len(weights),
        "sha256": sha256(weights),
        "script": f"python -m cnn_eval train {settings.model}",
        "settings": asdict(settings),
        "data": f"{entry.dataset}, {settings.data} training set, {len(images)} images",
        "accuracy": {test.source: _accuracy(model, test) for test in tests},
        "final_training_loss": losses[-1] if losses else None,
        "selection": "last weights after a fixed number of epochs; test images serve only the accuracy above",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "date": datetime.now(UTC).date().isoformat(),
    }
    write_atomically(path, weights)
    write_record(path.with_suffix(".json"), record)
    checkpoint.unlink(missing_ok=True)
    return record


def _accuracy(model: nn.Module, images: Images) -> dict[str, float]:
    correct = int((predict(model, images.images) == images.labels).sum())
    return {"correct": correct, "images": len(images), "percent": round(100 * correct / len(images), 2)}


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _progress(*, enabled: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=screen(error=True),
        disable=not enabled,
    )


# ---- checkpoints: weights, Adam's moments, and settings, epoch and a digest of all tensors as metadata


def _state(model: nn.Module, optimizer: torch.optim.Adam) -> dict[str, torch.Tensor]:
    tensors = {f"model.{key}": tensor for key, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        tensors.update({f"adam.{key}.{name}": value for key, value in optimizer.state[parameter].items()})
    return {key: tensor.detach().contiguous() for key, tensor in tensors.items()}


def _digest(tensors: dict[str, torch.Tensor], epoch: int) -> str:
    parts = [f"{epoch}"]
    for key in sorted(tensors):
        parts.append(f"{key} {tuple(tensors[key].shape)} {sha256(tensors[key].numpy().tobytes())}")
    return sha256("\n".join(parts).encode())


def _checkpoint(settings: Settings, model: nn.Module, optimizer: torch.optim.Adam, epoch: int) -> bytes:
    tensors = _state(model, optimizer)
    metadata = {"settings": json.dumps(asdict(settings)), "epoch": str(epoch), "digest": _digest(tensors, epoch)}
    return save_safetensors(tensors, metadata)


def _restore(path: Path, settings: Settings, model: nn.Module, optimizer: torch.optim.Adam) -> int:
    """Brings model and optimiser to the state in `path` and returns the number of finished epochs."""
    advice = "delete it or train with --fresh"
    try:
        with (
            open_file(path, limit=MAX_CHECKPOINT_BYTES, error=DataError, advice=advice),
            safe_open(path, framework="pt") as stream,
        ):
            metadata = stream.metadata() or {}
            tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118  # no iterator of its own
        stored, epoch = parse_json(metadata["settings"], str(path)), int(metadata["epoch"])
    except DataError:
        raise
    except (SafetensorError, KeyError, ValueError):
        raise DataError(f"{path} must be a complete checkpoint, but is truncated or altered; {advice}.") from None
    if metadata.get("digest") != _digest(tensors, epoch):
        raise DataError(f"{path} must be a complete checkpoint, but is truncated or altered; {advice}.")
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
        optimizer.state[parameter] = {key: tensors[f"adam.{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
    return epoch
