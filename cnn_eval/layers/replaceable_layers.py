"""Which layers of a network `approximate` can replace, and why it must leave others exact."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn

from circuits.errors import unknown_name
from cnn_eval.layers.approximate_layers import ApproximateConv2d, ApproximateLinear
from cnn_eval.layers.observed import observe

__all__ = ["LAYERS", "check_layers", "layer_kinds", "survey", "unreplaced"]

LAYERS = ("conv", "linear", "all")
"""The choices of layers to replace."""
_NO_PRODUCTS: tuple[type[nn.Module], ...] = (
    nn.Embedding,
    nn.EmbeddingBag,
    nn.LayerNorm,
    nn.RMSNorm,
)
"""Modules whose weights of two or more dimensions are looked up or scale elementwise."""


def check_layers(layers: str) -> None:
    """Raises UnknownNameError unless `layers` is one of `LAYERS`."""
    if layers not in LAYERS:
        raise unknown_name("choice of layers", layers, LAYERS)


def layer_kinds(layers: str) -> tuple[type[nn.Module], ...]:
    """The classes of layers that the choice `layers` replaces."""
    kinds: dict[str, tuple[type[nn.Module], ...]] = {
        "conv": (nn.Conv2d,),
        "linear": (nn.Linear,),
        "all": (nn.Conv2d, nn.Linear),
    }
    return kinds[layers]


def survey(model: nn.Module) -> tuple[dict[str, nn.Conv2d | nn.Linear], dict[str, str]]:
    """(replaceable layers by name, other modules that multiply by name -> why they cannot be replaced).

    A module that stands in several places appears under each of its names.
    """
    replaceable: dict[str, nn.Conv2d | nn.Linear] = {}
    obstacles: dict[str, str] = {}
    modules = dict(model.named_modules(remove_duplicate=False))
    for name, module in modules.items():
        kind = type(module).__name__
        parent = modules.get(name.rpartition(".")[0])
        if isinstance(module, (ApproximateConv2d, ApproximateLinear)):
            if module.design is None:  # quantised, and exact so far
                replaceable[name] = module
            else:
                obstacles[name] = f"{kind}: approximate already"
        # The exact type: a subclass may multiply in a forward of its own, which an exchanged class would drop.
        elif type(module) in (nn.Conv2d, nn.Linear):
            assert isinstance(module, (nn.Conv2d, nn.Linear))
            if "weight" not in dict(module.named_parameters(recurse=False)):
                obstacles[name] = f"{kind} with a computed weight (pruning or weight normalisation); make it permanent"
            # Its fast path hands the weights to one fused kernel and never calls the Linear.
            elif isinstance(parent, nn.TransformerEncoderLayer):
                obstacles[name] = f"{kind} whose TransformerEncoderLayer may multiply by its weights without calling it"
            else:
                replaceable[name] = module
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            obstacles[name] = f"{kind}, a subclass of {'Conv2d' if isinstance(module, nn.Conv2d) else 'Linear'}"
        elif _has_matrix(module) and not isinstance(module, _NO_PRODUCTS):
            obstacles[name] = kind
    return replaceable, obstacles


def _has_matrix(module: nn.Module) -> bool:
    """Whether the module has a parameter of its own with two or more dimensions."""
    # The parameters of a lazy module have no shape yet; they may become matrices.
    return any(
        isinstance(parameter, nn.UninitializedParameter) or parameter.dim() >= 2
        for parameter in module.parameters(recurse=False)
    )


def unreplaced(model: nn.Module, layers: str = "all", *, images: torch.Tensor | None = None) -> dict[str, str]:
    """Layer name -> why `approximate(model, ..., layers=layers)` must leave its products exact.

    Lists layers that are not a plain Conv2d or Linear but multiply by a weight of two or more dimensions: other
    convolutions, subclasses, recurrent and attention layers, modules with parameters of their own.

    With `images`, as the network takes them, the first image is run through the network, and two more kinds are listed:
    modules whose own forward calls functions that sum products (matmul, einsum, functional.linear, attention, ...; the
    network itself is listed as "forward"), and layers that could be replaced but are not called. Elementwise products
    and products outside torch are not seen.
    """
    check_layers(layers)
    replaceable, obstacles = survey(model)
    modules = dict(model.named_modules(remove_duplicate=False))
    ignored_kinds = {"conv": (nn.Linear,), "linear": (nn.modules.conv._ConvNd,), "all": ()}[layers]
    reasons = {name: reason for name, reason in obstacles.items() if not isinstance(modules[name], ignored_kinds)}
    if images is not None:
        surveyed = {module for name, module in modules.items() if name in replaceable or name in obstacles}
        reasons |= _observed_reasons(model, images, layers, surveyed)
    return reasons


def _observed_reasons(
    model: nn.Module, images: torch.Tensor, layers: str, surveyed: Collection[nn.Module]
) -> dict[str, str]:
    """What only a run reveals: functional products outside the `surveyed` modules, and layers that are not called."""
    observation = observe(model, images)
    reasons: dict[str, str] = {}
    ignored = {"conv": "linear", "linear": "conv", "all": None}[layers]
    for name, module in model.named_modules():
        functions = [
            function
            for function in observation.functions.get(name, ())
            if ignored is None or f".{ignored}" not in function
        ]
        if functions and module not in surveyed:
            reasons[name or "forward"] = f"{type(module).__name__} calls {', '.join(functions)} itself"
        if type(module) in layer_kinds(layers) and module in surveyed and name not in observation.called:
            reasons[name] = f"{type(module).__name__} that the forward does not call"
    return reasons
