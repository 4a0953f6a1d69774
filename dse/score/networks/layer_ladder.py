"""Assignments of designs to layers, from exact to cheap, by an additive model of the harm that approximate layers do.

The harm of design d in layer l is the mean divergence of the network's answers from those of exact products,
KL(softmax(exact logits) || softmax(logits)), with d in that layer alone. To measure it for every pair would take a run
of the network each. It follows from the error of the layer's own output, on the inputs that the exact network gives it:
small errors move the logits in proportion, and the divergence grows with their square. With the relative squared error

    E(l, d) = mean |y_d - y|^2 / mean |y|^2,      y the output of layer l with exact products, y_d with d,

and one run of the network for each layer, with a design r of moderate error,

    harm(l, d) = KL(l, r) E(l, d) / E(l, r).

Errors of different layers are taken to add up. For each price p of harm, the best assignment is then found layer by
layer: the design of least p harm(l, d) + energy(l, d). From a high price to none this gives the lower convex hull of
all assignments by energy and harm (Everett, Operations Research 11(3), 1963): the ladder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from circuits.designs.design_record import Design
from cnn_eval.layers.approximation import approximate
from cnn_eval.models.inference import evaluation_mode, logits
from cnn_eval.support.thread_limits import torch_threads
from dse.score.networks.scored_networks import calibration_images, networks_for
from dse.score.scorers.divergence_scorer import divergences
from dse.score.scorers.scorer import ScoreSettings

__all__ = ["ladder", "layer_harms"]

Floats = NDArray[np.float64]
_IMAGES = 32
_MODERATE = 1e-2
"""Relative squared error at which the network is run: well above rounding, small enough for its answers to stay."""
_MOST_HARM = 2.0
"""Nats: ten classes that are all alike to the network diverge by at most log 10 = 2.3 from certain answers."""
_PRICES = 400


def layer_harms(layers: Sequence[str], designs: Sequence[Design], settings: ScoreSettings) -> Floats:
    """float64 [layers, designs]: the harm of each design in each layer alone, in nats, as the module's text has it.

    Measured on the images that networks are calibrated with, so that test images stay unseen; on one thread.
    """
    network = networks_for(designs[0], settings).exact(designs[0])
    images = calibration_images(settings)[:_IMAGES]
    with torch_threads(1), torch.no_grad():
        inputs, exact_logits = _inputs(network, layers, images)
        outputs = _outputs(network, inputs)
        errors = np.array([_relative_errors(network, design, inputs, outputs) for design in designs]).T
        harms = np.zeros_like(errors)
        for number, layer in enumerate(layers):
            if errors[number].max() == 0:
                continue
            distance = np.abs(np.log(np.maximum(errors[number], 1e-300) / _MODERATE))
            moderate = int(np.argmin(np.where(errors[number] > 0, distance, np.inf)))
            changed = logits(approximate(network, {layer: designs[moderate]}), images)
            answers = float(divergences(exact_logits, changed).mean())
            harms[number] = answers * errors[number] / errors[number, moderate]
    # Four digits, so that the order in which a processor adds decides nothing.
    return np.array([[float(f"{harm:.3e}") for harm in of_layer] for of_layer in harms])


def ladder(harms: Floats, energies: Floats, count: int) -> list[tuple[int, ...]]:
    """At most `count` assignments (the number of a design for each layer), the least harmful first.

    `harms`, `energies`: float64 [layers, designs]. The assignments are evenly spread over the logarithm of the price of
    harm, as far as answers are left (`_MOST_HARM`).
    """
    positive = harms[harms > 0]
    if not positive.size:
        return [tuple(np.argmin(energies, axis=1).tolist())][:count]
    layers = np.arange(len(harms))
    # From a price that every harm outweighs energy at, down to one at which none does.
    span = float(np.ptp(energies)) or 1.0
    prices = np.geomspace(1e3 * span / positive.min(), 1e-3 * span / positive.max() / harms.size, _PRICES)
    steps: dict[tuple[int, ...], None] = {}
    for price in prices:
        chosen = np.argmin(price * harms + energies, axis=1)
        if steps and harms[layers, chosen].sum() > _MOST_HARM:
            break
        steps.setdefault(tuple(chosen.tolist()))
    chain = list(steps)
    if len(chain) <= count:
        return chain
    kept = np.unique(np.round(np.linspace(0, len(chain) - 1, count)).astype(int))
    return [chain[index] for index in kept.tolist()]


def _inputs(
    network: nn.Module, layers: Sequence[str], images: torch.Tensor
) -> tuple[dict[str, list[torch.Tensor]], torch.Tensor]:
    """(layer -> what it was given, once for each time that it ran; the logits)."""
    inputs: dict[str, list[torch.Tensor]] = {layer: [] for layer in layers}
    places = dict(network.named_modules())

    def keep(layer: str) -> Callable[[nn.Module, Any], None]:
        return lambda module, given: inputs[layer].append(given[0].detach())

    hooks = [places[layer].register_forward_pre_hook(keep(layer)) for layer in layers]
    try:
        return inputs, logits(network, images)
    finally:
        for hook in hooks:
            hook.remove()


def _outputs(network: nn.Module, inputs: dict[str, list[torch.Tensor]]) -> dict[str, list[torch.Tensor]]:
    places = dict(network.named_modules())
    with evaluation_mode(network):
        return {layer: [places[layer](each) for each in given] for layer, given in inputs.items()}


def _relative_errors(
    network: nn.Module, design: Design, inputs: dict[str, list[torch.Tensor]], exact: dict[str, list[torch.Tensor]]
) -> list[float]:
    """E of the module's text for each layer."""
    changed = _outputs(approximate(network, dict.fromkeys(inputs, design)), inputs)
    errors = []
    for layer, outputs in exact.items():
        pairs = zip(changed[layer], outputs, strict=True)
        squares = sum(float((own - other).double().square().sum()) for own, other in pairs)
        signal = sum(float(other.double().square().sum()) for other in outputs)
        errors.append(squares / signal if signal else 0.0)
    return errors
