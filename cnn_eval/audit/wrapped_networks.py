"""The networks that an audit compares, and the gradients that it attacks them with."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional

from circuits import Design, DesignError
from circuits.errors import unknown_name
from cnn_eval.layers.approximate_layers import ApproximateConv2d, ApproximateLinear
from cnn_eval.layers.approximation import approximate, recomputed
from cnn_eval.layers.product_kinds import BACKWARD, COMPUTE

AUDIT_MODES = COMPUTE
BORROWED = "straight-through"
"""Name of the gradient that a network of unknown layers borrows from the exact network."""


@dataclass(frozen=True)
class Contestant:
    """A network under attack.

    `judge` decides what counts; `gradients`: name -> a network with (nearly) the judge's logits through which an
    attacker differentiates; `native` names the one that the network gives by itself; `value` is what gradient-free
    attacks query. `mode` says how the values are computed while attacking; `probabilities`: the outputs were
    probabilities, and all networks give their logarithm.
    """

    name: str
    judge: nn.Module
    value: nn.Module
    gradients: Mapping[str, nn.Module]
    native: str
    mode: str
    probabilities: bool = False

    def networks(self) -> list[nn.Module]:
        """All of them; some may be the same."""
        return [self.judge, self.value, *self.gradients.values()]

    def logarithm(self) -> Contestant:
        """The same, outputs being probabilities."""
        made = {id(network): Logarithm(network) for network in self.networks()}
        gradients = {key: made[id(network)] for key, network in self.gradients.items()}
        judge, value = made[id(self.judge)], made[id(self.value)]
        return replace(self, judge=judge, value=value, gradients=gradients, probabilities=True)


def design_contestant(
    base: nn.Module, design: Design | Mapping[str, Design], *, layers: str, backward: str, mode: str
) -> Contestant:
    """`base` with its `layers` through `design`; as `approximate` otherwise. `mode` "auto": lowered where possible."""
    made = approximate(base, design, layers=layers, backward=backward)
    name = design.label if isinstance(design, Design) else ", ".join(f"{k}={v.label}" for k, v in design.items())
    return approximate_contestant(made, name=name, mode=mode)


def approximate_contestant(model: nn.Module, *, name: str, mode: str) -> Contestant:
    """A network that `approximate` made; native is its own backward mode, or "own" where layers differ in it."""
    if mode not in AUDIT_MODES:
        raise unknown_name("mode", mode, AUDIT_MODES)
    judge = recomputed(model, compute="gate")
    value, taken = judge, "gate"
    if mode != "gate":
        try:
            value, taken = recomputed(model, compute="lowered"), "lowered"
        except DesignError:
            if mode == "lowered":
                raise
    own = {layer.backward for layer in _approximate_layers(model)}
    native = own.pop() if len(own) == 1 else "own"
    gradients = {native: value}
    for backward in BACKWARD:
        if backward != native:
            with contextlib.suppress(DesignError):  # a design without a slope
                gradients[backward] = recomputed(value, backward=backward)
    return Contestant(name, judge, value, gradients, native, taken)


def module_contestant(
    model: nn.Module, *, name: str, borrowed: nn.Module | None = None, surrogates: Mapping[str, nn.Module] | None = None
) -> Contestant:
    """Any network; `surrogates`: further networks to differentiate through, the values being the model's.

    `borrowed`: a network of the same inputs and classes whose gradient stands in for the model's own, by the name
    BORROWED (backward pass differentiable approximation: Athalye, Carlini, Wagner, "Obfuscated Gradients Give a False
    Sense of Security", ICML 2018, section 4.1).
    """
    given = dict(surrogates or {})
    if borrowed is not None:
        given = {BORROWED: borrowed, **given}
    if "native" in given:
        raise ValueError("surrogates must not be named 'native', but one is; rename it.")
    value = model
    stand_ins = {key: StraightThrough(value, surrogate) for key, surrogate in given.items()}
    return Contestant(name, value, value, {"native": value, **stand_ins}, "native", "as given")


def is_approximate(model: nn.Module) -> bool:
    """Whether `approximate` made the network."""
    return bool(_approximate_layers(model))


def _approximate_layers(model: nn.Module) -> list[ApproximateConv2d | ApproximateLinear]:
    return [module for module in model.modules() if isinstance(module, (ApproximateConv2d, ApproximateLinear))]


class StraightThrough(nn.Module):
    """The logits of `value` with the gradient of `surrogate`."""

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
        return stand_in + (logits - stand_in).detach()  # type: ignore[no-any-return]


class Attached(nn.Module):
    """A network whose logits always hang on the images, if need be with a gradient of zero."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, classes]."""
        logits: torch.Tensor = self.model(images)
        if logits.requires_grad or not (torch.is_grad_enabled() and images.requires_grad):
            return logits
        return logits + 0 * images.flatten(1).sum(1, keepdim=True)


class Scaled(nn.Module):
    """Logits divided by a temperature: the same classes, a cross-entropy whose gradient does not saturate.

    Source: Gupta, Ajanthan, "Improved Gradient-Based Adversarial Attacks for Quantized Networks", arXiv 2003.13511.
    """

    def __init__(self, model: nn.Module, temperature: float) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, classes]."""
        return self.model(images) / self.temperature  # type: ignore[no-any-return]


class Raised(nn.Module):
    """The logits with each image's true one raised by `kappa`: what fools this network has a margin of `kappa` in the
    original one, the confidence of Carlini and Wagner. For one batch, whose labels it holds."""

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
    """Log-probabilities of a network that ends in a softmax: logits of the same probabilities."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, classes]."""
        return self.model(images).clamp_min(torch.finfo(torch.float32).tiny).log()  # type: ignore[no-any-return]


def margin(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """By how much the best wrong logit exceeds the label's, float32 [N]; at least 0 is not a right answer for sure."""
    true = logits.gather(1, labels[:, None])[:, 0]
    return logits.scatter(1, labels[:, None], -torch.inf).amax(1) - true


def are_probabilities(outputs: torch.Tensor) -> bool:
    """Whether [N, classes] lie in [0, 1] with rows that sum to 1."""
    tolerance = 1e-5
    inside = bool((outputs >= -tolerance).all()) and bool((outputs <= 1 + tolerance).all())
    return inside and bool(((outputs.sum(1) - 1).abs() < 10 * tolerance).all())


def input_gradient(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, loss: str) -> torch.Tensor:
    """Gradient by the images of the cross-entropy or of the logit margin ("ce", "margin"), one image at a time."""
    leaf = images.detach().clone().requires_grad_()
    logits = model(leaf)
    value = functional.cross_entropy(logits, labels, reduction="sum") if loss == "ce" else margin(logits, labels).sum()
    return torch.nan_to_num(torch.autograd.grad(value, leaf)[0])
