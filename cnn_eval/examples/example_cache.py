"""Disk cache of adversarial examples, so that testing another multiplier costs one forward pass.

A result is stored under a digest of everything that determines it: the network's fingerprint, the attack's settings,
images, labels and library versions. A network can still compute something else without a trace in its fingerprint. So a
stored result is used only after two forward passes of the network on which it was crafted, whose classes for the clean
and for the adversarial images must equal the stored ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import platformdirs
import torch
from torch import nn

from circuits.support.files import require_writable
from circuits.support.progress import progress_bars
from cnn_eval.attacks.shared.attack_modes import Mode
from cnn_eval.attacks.shared.base import Attack
from cnn_eval.examples.network_fingerprint import model_digest
from cnn_eval.models.inference import predict
from cnn_eval.support.verified_files import (
    DataError,
    read_tensors_with_record,
    sha256,
    tensor_digest,
    write_tensors_with_record,
)

__all__ = ["Crafted", "cache_size", "craft", "default_cache"]

IMAGES_PER_BATCH = 50
"""Images attacked in one batch, and a step of the progress bar."""
_ADVICE = "the entry is not used"


@dataclass(frozen=True)
class Crafted:
    """Adversarial images and the classes that their source network gives them.

    `adversarial`: float32 [N, C, H, W], the clean image where the attack failed. `clean_class`, `class_`: the source's
    classes of the clean and of the adversarial images, int64 [N]. `unstarted`: number of images for which the attack
    has no starting point. `path`: the file in the cache, None without a cache; `reused`: whether it existed; `damage`:
    why an existing file was not used.
    """

    adversarial: torch.Tensor
    clean_class: torch.Tensor
    class_: torch.Tensor
    unstarted: int
    record: Mapping[str, Any]
    path: Path | None = None
    reused: bool = False
    damage: str | None = None


def default_cache() -> Path:
    """The folder of crafted examples: in the user's cache folder."""
    return Path(platformdirs.user_cache_dir("approximate-dse")) / "crafted"


def cache_size(folder: Path) -> tuple[int, int]:
    """(number of stored results, bytes) in a folder of crafted examples."""
    files = [path for path in folder.glob("*") if path.suffix in (".json", ".safetensors")] if folder.is_dir() else []
    return sum(path.suffix == ".safetensors" for path in files), sum(path.stat().st_size for path in files)


def craft(
    source: nn.Module,
    attack: Attack,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    mode: Mode,
    epsilon: float | None = None,
    cache: Path | None = None,
    title: str | None = None,
) -> Crafted:
    """The result of `attack.run` on `source`, from the folder `cache` if it is stored there.

    A new result is stored. A file that is truncated or altered, or whose classes differ from those of `source`, is
    reported in `damage` and crafted again. `title` is the title of a progress bar on standard error; None shows none.
    Raises as `attack.run` does; ValueError, before anything is crafted, if the cache cannot be written.
    """
    identity = {
        "model": model_digest(source),
        "settings": attack.settings(mode=mode, epsilon=epsilon),
        "images": tensor_digest(images),
        "labels": tensor_digest(labels),
        "versions": {name: metadata.version(name) for name in ("numpy", "torch")},
    }
    path, damage = None, None
    if cache is not None:
        require_writable(cache)
        path = cache / f"{attack.name}_{mode}_{sha256(json.dumps(identity, sort_keys=True).encode())[:32]}.safetensors"
        try:
            if path.exists() or path.with_suffix(".json").exists():
                return _read_entry(path, identity, source, images)
        except DataError as error:
            damage = str(error)
    batches: list[torch.Tensor] = []
    with progress_bars(enabled=title is not None) as bars:
        task = bars.add_task(title or "", total=len(images))
        for batch, batch_labels in zip(
            torch.split(images, IMAGES_PER_BATCH), torch.split(labels, IMAGES_PER_BATCH), strict=True
        ):
            batches.append(attack.run(source, batch, batch_labels, mode=mode, epsilon=epsilon))
            bars.advance(task, len(batch))
    adversarial = torch.cat(batches) if batches else images.clone()
    tensors = {
        "adversarial": adversarial,
        "clean_class": predict(source, images),
        "class": predict(source, adversarial),
    }
    correct = tensors["clean_class"] == labels
    record = {**identity, "unstarted": int(attack.unstarted(source, images[correct], labels[correct]).sum())}
    if path is not None:
        record = write_tensors_with_record(path, tensors, record)
    return _crafted(tensors, record, path, reused=False, damage=damage)


def _read_entry(path: Path, identity: Mapping[str, Any], source: nn.Module, images: torch.Tensor) -> Crafted:
    """The result stored in `path`. Raises DataError if it is damaged or its classes differ from those of `source`."""
    record, tensors = read_tensors_with_record(path, advice=_ADVICE)
    if any(record.get(key) != value for key, value in identity.items()):
        raise DataError(f"{path.with_suffix('.json')} must be the record of its entry, but is another's; {_ADVICE}.")
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    count = (len(images),)
    if shapes != {"adversarial": tuple(images.shape), "clean_class": count, "class": count}:
        raise DataError(f"{path} must hold {len(images)} examples and their classes, but does not; {_ADVICE}.")
    for name, classified in (("clean_class", images), ("class", tensors["adversarial"])):
        differing = int((predict(source, classified) != tensors[name]).sum())
        if differing:
            raise DataError(
                f"{path} must hold the classes that the attacked network gives, but {differing} of {len(images)} under "
                f"{name!r} are others; {_ADVICE}."
            )
    return _crafted(tensors, record, path, reused=True, damage=None)


def _crafted(
    tensors: Mapping[str, torch.Tensor],
    record: Mapping[str, Any],
    path: Path | None,
    *,
    reused: bool,
    damage: str | None,
) -> Crafted:
    return Crafted(
        adversarial=tensors["adversarial"],
        clean_class=tensors["clean_class"],
        class_=tensors["class"],
        unstarted=int(record["unstarted"]),
        record=record,
        path=path,
        reused=reused,
        damage=damage,
    )
