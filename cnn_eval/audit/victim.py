"""The networks that an audit attacks, and the gradients that it attacks them with."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import nn

from circuits import Design, DesignError
from circuits.errors import unknown_name
from cnn_eval.audit.wrapped_networks import Logarithm, StraightThrough
from cnn_eval.layers.approximate_layers import approximate_layers
from cnn_eval.layers.approximation import approximate, recomputed
from cnn_eval.layers.product_kinds import BACKWARD

AUDIT_COMPUTE = ("auto", "gate", "lowered")
"""How a design's products are computed while attacking; "auto": lowered where the design allows."""
BORROWED = "straight-through"
"""Name of the gradient that a network of unknown layers borrows from the exact network."""


@dataclass(frozen=True)
class Victim:
    """A network under attack.

    `judge` decides what counts; `gradients`: name -> a network with (nearly) the judge's logits through which an
    attacker differentiates; `native` names the one that the network gives by itself; `value` is what gradient-free
    attacks query. `compute` says how the values are computed while attacking; `probabilities`: the outputs were
    probabilities, and all networks return their logarithm.
    """

    name: str
    judge: nn.Module
    value: nn.Module
    gradients: Mapping[str, nn.Module]
    native: str
    compute: str
    probabilities: bool = False

    @property
    def native_label(self) -> str:
        """What attacks through the native gradient are called."""
        return "native" if self.native == "native" else f"{self.native}, native"

    def networks(self) -> list[nn.Module]:
        """All networks of the victim; some may be the same."""
        return [self.judge, self.value, *self.gradients.values()]

    def logarithm(self) -> Victim:
        """The same victim where its outputs are probabilities: every network returns their logarithm."""
        # By identity: networks that were one must stay one (`value is judge` decides what needs confirmation).
        logarithms = {id(network): Logarithm(network) for network in self.networks()}
        gradients = {key: logarithms[id(network)] for key, network in self.gradients.items()}
        judge, value = logarithms[id(self.judge)], logarithms[id(self.value)]
        return replace(self, judge=judge, value=value, gradients=gradients, probabilities=True)


def design_victim(
    base: nn.Module, design: Design | Mapping[str, Design], *, layers: str, backward: str, compute: str
) -> Victim:
    """`base` with its `layers` through `design`, as in `approximate`; `compute`: of AUDIT_COMPUTE."""
    network = approximate(base, design, layers=layers, backward=backward)
    name = design.label if isinstance(design, Design) else ", ".join(f"{k}={v.label}" for k, v in design.items())
    return approximate_victim(network, name=name, compute=compute)


def approximate_victim(model: nn.Module, *, name: str, compute: str) -> Victim:
    """A network built by `approximate`; its native gradient is its backward mode, called "own" where layers differ.

    Every other backward mode that the designs allow is a surrogate, "table2d" apart.
    """
    if compute not in AUDIT_COMPUTE:
        raise unknown_name("way of computing", compute, AUDIT_COMPUTE)
    # All bit-accurate methods give the same integers, and the gates themselves would be slow.
    integers = all(layer.design.float_format is None for layer in approximate_layers(model).values() if layer.design)
    judge = recomputed(model, compute="auto" if integers else "gate")
    value, computed = judge, "gate"
    if compute != "gate":
        try:
            value, computed = recomputed(model, compute="lowered"), "lowered"
        except DesignError:
            if compute == "lowered":
                raise
    backward_modes = {layer.backward for layer in approximate_layers(model).values()}
    native = backward_modes.pop() if len(backward_modes) == 1 else "own"
    gradients = {native: value}
    for backward in BACKWARD:
        # A derivative for every product makes a step of an attack many times as long; table1d is nearly as good.
        if backward not in (native, "table2d"):
            with contextlib.suppress(DesignError):  # a design without a slope
                # From `value`, not from the judge: the forward pass through gates would make every gradient step
                # expensive.
                gradients[backward] = recomputed(value, backward=backward)
    return Victim(name, judge, value, gradients, native, computed)


def module_victim(
    model: nn.Module, *, name: str, borrowed: nn.Module | None = None, surrogates: Mapping[str, nn.Module] | None = None
) -> Victim:
    """Any network; `surrogates`: further networks to differentiate through, the values being the model's.

    `borrowed`: a network of the same inputs and classes whose gradient stands in for the model's own, under the name
    BORROWED (backward pass differentiable approximation: Athalye, Carlini, Wagner, "Obfuscated Gradients Give a False
    Sense of Security", ICML 2018, section 4.1).
    """
    given = dict(surrogates or {})
    if borrowed is not None:
        given = {BORROWED: borrowed, **given}
    if "native" in given:
        raise ValueError("surrogates must not be named 'native', but one is; rename it.")
    gradients = {key: StraightThrough(model, surrogate) for key, surrogate in given.items()}
    return Victim(name, model, model, {"native": model, **gradients}, "native", "as given")


def is_approximate(model: nn.Module) -> bool:
    """Whether the network was built by `approximate`."""
    return bool(approximate_layers(model))
