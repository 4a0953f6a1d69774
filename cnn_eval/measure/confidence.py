"""Classification confidence and feature maps: what DA section 6 looks at to explain approximate networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from circuits import DesignError
from circuits.errors import unknown_name
from cnn_eval.models.inference import BATCH_SIZE, logits

__all__ = ["ConfidenceDistribution", "confidence", "confidence_distribution", "feature_maps", "last_convolution"]


def confidence(values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Softmax score of the true class less that of the best other class, float64 [N] in [-1, 1].

    `values`: logits [N, classes], two classes at least; `labels`: int64 [N]. Negative where the network errs; DA
    section 6 (C = output[l] - max over j != l of output[j]) speaks of 0 to 1, the range where it is right.
    """
    if values.dim() != 2 or values.shape[1] < 2 or labels.shape != values.shape[:1]:
        raise DesignError(
            f"logits must be [N, classes] with labels [N], but have shapes {list(values.shape)} and "
            f"{list(labels.shape)}; give one label an image."
        )
    scores = values.detach().double().softmax(1)
    true = scores.gather(1, labels[:, None])[:, 0]
    return true - scores.scatter(1, labels[:, None], -1.0).amax(1)


@dataclass(frozen=True)
class ConfidenceDistribution:
    """The empirical distribution of confidences, ascending: float64 [N]."""

    values: NDArray[np.float64]

    def at_most(self, threshold: float) -> float:
        """Share of images with a confidence of at most `threshold`: the cumulative distribution."""
        return float(np.searchsorted(self.values, threshold, side="right")) / self.values.size

    def above(self, threshold: float) -> float:
        """Share of images with a higher confidence."""
        return float(self.values.size - np.searchsorted(self.values, threshold, side="right")) / self.values.size

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(confidence, share of images with at most that), one step an image, for plotting as in DA Figure 12."""
        return self.values, np.arange(1, self.values.size + 1) / self.values.size


def confidence_distribution(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, batch_size: int = BATCH_SIZE
) -> ConfidenceDistribution:
    """Of `model` on images [N, C, H, W] with true classes `labels` [N]; N >= 1."""
    if not len(images):
        raise DesignError("images must hold at least one image, but hold none; give more.")
    found = confidence(logits(model, images, batch_size=batch_size), labels)
    return ConfidenceDistribution(np.sort(found.numpy()))


def last_convolution(model: nn.Module) -> str:
    """Name of the last Conv2d, approximate or not, in the order of the model's modules (not of their calls)."""
    names: list[str] = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    if not names:
        raise DesignError("the model must have a Conv2d layer, but has none; name another layer.")
    return names[-1]


def feature_maps(
    model: nn.Module, images: torch.Tensor, *, layer: str | None = None, batch_size: int = BATCH_SIZE
) -> torch.Tensor:
    """Output of `layer` (default: `last_convolution`) for images [N, C, H, W]: float32 [N, filters, H', W'], bias
    included, before any activation. A layer that is called more than once an image gives its last output.

    Raises DesignError for an unknown layer and where the layer is not called.
    """
    name = last_convolution(model) if layer is None else layer
    modules = dict(model.named_modules(remove_duplicate=False))
    if name not in modules:
        raise unknown_name("layer", name, modules)
    last: list[torch.Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        last[:] = [output.detach()]

    maps = []
    handle = modules[name].register_forward_hook(keep)
    try:
        with torch.no_grad():
            for batch in torch.split(images, batch_size):
                last.clear()
                model(batch)
                if not last:
                    raise DesignError(f"layer {name} must be called by the model, but is not; name another layer.")
                maps += last
    finally:
        handle.remove()
    return torch.cat(maps)
