"""Crafted examples on disk, by content: what was once crafted is one forward pass away for every other multiplier, and
two of the network it was crafted on, whose classes must be those stored."""

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
from cnn_eval.attacks import Attack, Mode
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

CHUNK = 50
"""Images attacked side by side, and a step of the progress bar."""
_ADVICE = "the entry is not used"


@dataclass(frozen=True)
class Crafted:
    """Adversarial images and what their source says of them.

    `adversarial`: float32 [N, C, H, W], the clean image where the attack found nothing; `clean_class`, `class_`: the
    source's classes of the clean and of the adversarial images, int64 [N]; `unstarted`: images that the attack found no
    starting point for. `path`: the entry, None where nothing is kept; `reused`: whether it was there; `damage`: why an
    entry that was there was not used.
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
    """(entries, bytes) in a folder of crafted examples."""
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
    """`attack.run` on `source`, or its result from the folder `cache`, where it is kept.

    The entry's name is a digest of all that decides the result: `model_digest(source)`, the attack's settings, images,
    labels and library versions. An entry that is cut or altered, or whose classes `source` does not give, is named in
    `damage` and crafted again. `title`: of the
    progress bar on standard error; None shows none. Raises as `attack.run` does; ValueError where the cache cannot be
    written, before anything is crafted.
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
                return _stored(path, identity, source, images)
        except DataError as error:
            damage = str(error)
    chunks: list[torch.Tensor] = []
    with progress_bars(enabled=title is not None) as bars:
        task = bars.add_task(title or "", total=len(images))
        for some, theirs in zip(torch.split(images, CHUNK), torch.split(labels, CHUNK), strict=True):
            chunks.append(attack.run(source, some, theirs, mode=mode, epsilon=epsilon))
            bars.advance(task, len(some))
    adversarial = torch.cat(chunks) if chunks else images.clone()
    tensors = {
        "adversarial": adversarial,
        "clean_class": predict(source, images),
        "class": predict(source, adversarial),
    }
    right = tensors["clean_class"] == labels
    record = {**identity, "unstarted": int(attack.unstarted(source, images[right], labels[right]).sum())}
    if path is not None:
        record = write_tensors_with_record(path, tensors, record)
    return _made(tensors, record, path, False, damage)


def _stored(path: Path, identity: Mapping[str, Any], source: nn.Module, images: torch.Tensor) -> Crafted:
    """The entry in `path`. DataError where it is damaged, or where `source` gives other classes than the entry says:
    a network can compute something else without any trace in its digest."""
    record, tensors = read_tensors_with_record(path, advice=_ADVICE)
    if any(record.get(key) != value for key, value in identity.items()):
        raise DataError(f"{path.with_suffix('.json')} must be the record of its entry, but is another's; {_ADVICE}.")
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    count = (len(images),)
    if shapes != {"adversarial": tuple(images.shape), "clean_class": count, "class": count}:
        raise DataError(f"{path} must hold {len(images)} examples and their classes, but does not; {_ADVICE}.")
    for name, seen in (("clean_class", images), ("class", tensors["adversarial"])):
        others = int((predict(source, seen) != tensors[name]).sum())
        if others:
            raise DataError(
                f"{path} must hold the classes that the attacked network gives, but {others} of {len(images)} under "
                f"{name!r} are others; {_ADVICE}."
            )
    return _made(tensors, record, path, True, None)


def _made(
    tensors: Mapping[str, torch.Tensor], record: Mapping[str, Any], path: Path | None, reused: bool, damage: str | None
) -> Crafted:
    return Crafted(
        tensors["adversarial"],
        tensors["clean_class"],
        tensors["class"],
        int(record["unstarted"]),
        record,
        path,
        reused,
        damage,
    )
