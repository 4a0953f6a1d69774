"""Wrappers that change what an attacker sees of a network, its gradient or the scale of its logits, not its classes."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class StraightThrough(nn.Module):
    """The logits of `value` with the gradient of `surrogate`: s(x) + [v(x) - s(x)], the bracket held constant."""

    def __init__(self, value: nn.Module, surrogate: nn.Module) -> None:
        super().__init__()
        self.value = value
        self.surrogate = surrogate

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, classes]."""
        if not torch.is_grad_enabled():
            return self.value(images)  # type: ignore[no-any-return]  # torch types a module call as Any
        with torch.no_grad():
            logits = self.value(images)
        stand_in = self.surrogate(images)
        #   value:     s(x) + (v(x) - s(x)) = v(x), up to rounding
        #   gradient:  ds/dx, because the bracket is detached
        return stand_in + (logits - stand_in).detach()  # type: ignore[no-any-return]


class Attached(nn.Module):
    """Makes the logits depend on the images, so that autograd always returns a gradient, possibly zero."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, classes]."""
        logits: torch.Tensor = self.model(images)
        if logits.requires_grad or not (torch.is_grad_enabled() and images.requires_grad):
            return logits
        # 0 times a finite sum: the value stays, and autograd finds a path with gradient 0.
        return logits + 0 * images.flatten(1).sum(1, keepdim=True)


class Scaled(nn.Module):
    """Logits divided by a temperature: the same classes, but a cross-entropy whose gradient does not saturate.

    d CE / d Z_y = softmax(Z / T)_y - 1 rounds to 0 in float32 once the margin Z_y - Z_i exceeds about 17 T.

    Source: Gupta, Ajanthan, "Improved Gradient-Based Adversarial Attacks for Quantized Networks", arXiv 2003.13511.
    """

    def __init__(self, model: nn.Module, temperature: float) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, classes]."""
        #   1 - softmax_y = exp(-margin / T) < 2^-24  <=>  margin > 24 ln 2 T = 16.6 T
        return self.model(images) / self.temperature  # type: ignore[no-any-return]


class Raised(nn.Module):
    """The logits with each image's true one raised by `kappa`, for the one batch that `labels` belong to.

    What fools this network has a logit margin of `kappa` in the original one, the confidence of Carlini and Wagner.
    """

    def __init__(self, model: nn.Module, labels: torch.Tensor, kappa: float) -> None:
        super().__init__()
        self.model = model
        self.labels = labels
        self.kappa = kappa

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, classes] of the N images that `labels` are for."""
        logits: torch.Tensor = self.model(images)
        return logits + self.kappa * functional.one_hot(self.labels, logits.shape[1])


class Logarithm(nn.Module):
    """The logarithm of a network's probabilities: these are logits, since softmax(log p) = p."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, classes]."""
        # log 0 = -inf, whose gradient would be NaN.
        return self.model(images).clamp_min(torch.finfo(torch.float32).tiny).log()  # type: ignore[no-any-return]


def are_probabilities(outputs: torch.Tensor) -> bool:
    """Whether all of [N, classes] lie in [0, 1] and every row sums to 1, up to rounding."""
    tolerance = 1e-5
    inside = bool((outputs >= -tolerance).all()) and bool((outputs <= 1 + tolerance).all())
    return inside and bool(((outputs.sum(1) - 1).abs() < 10 * tolerance).all())
