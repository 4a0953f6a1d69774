"""Classification confidence and feature maps, with which DA section 6 explains approximate networks."""

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
    """Softmax score of the true class minus that of the best other class, float64 [N] in [-1, 1].

    `values` are logits [N, classes] with at least two classes, `labels` int64 [N]. DA section 6 defines

        C = output[l] - max over j != l of output[j]        l the true class

    and states the range 0 to 1, that of correct classifications; C is negative where the network errs.
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
        """(confidence, share of images with at most that confidence), one step per image, as in DA Figure 12."""
        return self.values, np.arange(1, self.values.size + 1) / self.values.size


def confidence_distribution(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, batch_size: int = BATCH_SIZE
) -> ConfidenceDistribution:
    """The distribution of `model`'s confidence on images [N, C, H, W] with true classes `labels` [N]; N >= 1."""
    if not len(images):
        raise DesignError("images must hold at least one image, but hold none; give more.")
    confidences = confidence(logits(model, images, batch_size=batch_size), labels)
    return ConfidenceDistribution(np.sort(confidences.numpy()))


def last_convolution(model: nn.Module) -> str:
    """Name of the last Conv2d, approximate or not, in the order of the model's modules (not of their calls)."""
    names: list[str] = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    if not names:
        raise DesignError("the model must have a Conv2d layer, but has none; name another layer.")
    return names[-1]


def feature_maps(
    model: nn.Module, images: torch.Tensor, *, layer: str | None = None, batch_size: int = BATCH_SIZE
) -> torch.Tensor:
    """The output of `layer` (default: `last_convolution`) for images [N, C, H, W]: float32 [N, filters, H', W'].

    The bias is included, activations are not. For a layer that is called more than once per image, the last output is
    returned. Raises DesignError for an unknown layer and for a layer that is not called.
    """
    name = last_convolution(model) if layer is None else layer
    modules = dict(model.named_modules(remove_duplicate=False))
    if name not in modules:
        raise unknown_name("layer", name, modules)
    last_output: list[torch.Tensor] = []

    def store_output(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        last_output[:] = [output.detach()]

    maps = []
    handle = modules[name].register_forward_hook(store_output)
    try:
        with torch.no_grad():
            for batch in torch.split(images, batch_size):
                last_output.clear()
                model(batch)
                if not last_output:
                    raise DesignError(f"layer {name} must be called by the model, but is not; name another layer.")
                maps += last_output
    finally:
        handle.remove()
    return torch.cat(maps)
