"""Stored adversarial examples: crafted once on the exact network, so that every design is tested on the same images.

Rule: the embedded test images are taken in the order of a seeded shuffle. Stored are the first `COUNTS` images of the
data set that the network classifies correctly and on which the attack succeeds.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from circuits.errors import unknown_name
from circuits.support.files import require_writable
from circuits.support.progress import progress_bars
from cnn_eval.attacks.shared.primitives import distances, fooled, logit_margin
from cnn_eval.data.folders import EMBEDDED_FOLDER
from cnn_eval.data.loading import load
from cnn_eval.examples.example_sets import EXAMPLE_SETS
from cnn_eval.models.inference import logits, predict
from cnn_eval.models.registry import load_model, model_entry, weights_record
from cnn_eval.support.verified_files import (
    DataError,
    read_tensors_with_record,
    record_field,
    tensor_digest,
    write_tensors_with_record,
)

__all__ = ["AdversarialExamples", "craft_example_set", "load_examples"]

COUNTS: Mapping[str, int] = MappingProxyType({"mnist": 200, "cifar10": 100})
"""Examples per set, by data set: as many as fit into about a megabyte."""
BATCH_SIZE = 100
"""Images attacked in one batch."""


@dataclass(frozen=True)
class AdversarialExamples:
    """Adversarial images and the images from which they were crafted.

    `clean`, `adversarial`: float32 [N, C, H, W] in [0, 1]. `labels`: true classes, int64 [N]. `indices`: positions of
    the clean images in the embedded test set, int64 [N]. `settings`: attack, norm, mode, budget, hyperparameters.
    """

    clean: torch.Tensor
    adversarial: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor
    name: str
    model: str
    settings: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.labels)


def load_examples(name: str, model: str = "lenet5", *, folder: Path | str = EMBEDDED_FOLDER) -> AdversarialExamples:
    """The stored examples `name` (see `example_sets`) against the committed weights of `model`.

    Raises UnknownNameError for an unknown name or model; DataError if the file is missing, truncated or altered, or was
    crafted on other weights or images than the present ones.
    """
    _check_names(name, model)
    advice = f"restore it from the project's repository or craft again with `python -m cnn_eval examples {model}`"
    path = Path(folder) / f"{model}_{name}.json"
    record, tensors = read_tensors_with_record(path.with_suffix(".safetensors"), advice=advice)
    weights = weights_record(model)["sha256"]
    if record.get("weights_sha256") != weights:
        raise DataError(
            f"{path} must be crafted on the present weights of {model} (SHA-256 {weights}), "
            f"but was crafted on {record.get('weights_sha256')}; {advice}."
        )
    images = load(model_entry(model).dataset, "test")
    if record.get("images_sha256") != tensor_digest(images.images, images.labels):
        raise DataError(f"{path} must be crafted from the embedded test images, but was crafted from others; {advice}.")
    indices = tensors["indices"]
    return AdversarialExamples(
        clean=images.images[indices],
        adversarial=tensors["adversarial"],
        labels=images.labels[indices],
        indices=indices,
        name=name,
        model=model,
        settings=MappingProxyType(record_field(record, "settings", dict, path, advice=advice)),
    )


def craft_example_set(
    name: str, model: str = "lenet5", *, out: Path = EMBEDDED_FOLDER, seed: int = 0, progress: bool = True
) -> dict[str, Any]:
    """Crafts the examples `name` on the committed weights, writes MODEL_NAME.safetensors and .json; returns the record.

    Raises ValueError if too few images qualify, MissingExtraError if the attack's library is not installed.
    """
    _check_names(name, model)
    require_writable(out)
    recipe = EXAMPLE_SETS[name]
    attack = recipe.build_attack()
    network = load_model(model)
    dataset = model_entry(model).dataset
    epsilon, count = recipe.epsilon.get(dataset), COUNTS[dataset]
    images = load(dataset, "test")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    correct = order[predict(network, images.images[order]) == images.labels[order]]
    fooled_indices: list[torch.Tensor] = []
    adversarial: list[torch.Tensor] = []
    attacked = 0
    with progress_bars(enabled=progress) as bars:
        task = bars.add_task(f"{model}: {name}", total=count)
        for batch in torch.split(correct, BATCH_SIZE):
            candidates = attack.run(
                network, images.images[batch], images.labels[batch], mode=recipe.mode, epsilon=epsilon
            )
            success = fooled(network, candidates, images.labels[batch])
            fooled_indices.append(batch[success])
            adversarial.append(candidates[success])
            attacked += len(batch)
            bars.advance(task, int(success.sum()))
            if sum(map(len, fooled_indices)) >= count:
                break
    successes = sum(map(len, fooled_indices))
    if successes < count:
        raise ValueError(f"{name} must fool {model} on {count} images, but did on {successes}; use a stronger attack.")
    indices = torch.cat(fooled_indices)[:count]
    tensors = {"adversarial": torch.cat(adversarial)[:count], "indices": indices}
    clean, labels = images.images[indices], images.labels[indices]
    record = {
        "examples": name,
        "model": model,
        "script": f"python -m cnn_eval examples {model} --seed {seed}",
        "rule": f"embedded test images in the order of a shuffle (seed {seed}); the first {count} rightly classified "
        "that the attack fools",
        "settings": attack.settings(mode=recipe.mode, epsilon=epsilon),
        "seed": seed,
        "weights_sha256": weights_record(model)["sha256"],
        "images_sha256": tensor_digest(images.images, images.labels),
        "success": {"fooled": successes, "attacked": attacked},
        "distance": {norm: _spread(distances(clean, tensors["adversarial"], norm)) for norm in ("linf", "l2")},
        "logit_margin": _spread(logit_margin(logits(network, tensors["adversarial"]), labels)),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "date": datetime.now(UTC).date().isoformat(),
    }
    return write_tensors_with_record(out / f"{model}_{name}.safetensors", tensors, record)


def _check_names(name: str, model: str) -> None:
    if name not in EXAMPLE_SETS:
        raise unknown_name("example set", name, EXAMPLE_SETS)
    model_entry(model)


def _spread(values: torch.Tensor) -> dict[str, float]:
    return {
        key: float(value) for key, value in (("min", values.min()), ("median", values.median()), ("max", values.max()))
    }
