"""Folds batch normalisation into the layer before it.

In evaluation mode batch normalisation is  (y - mean) gamma / sqrt(variance + epsilon) + beta  for each channel. Behind
y = W x + b it is one layer with

    W' = W gamma / sqrt(variance + epsilon)        b' = (b - mean) gamma / sqrt(variance + epsilon) + beta

computed here in float64 and rounded once.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from cnn_eval.models.inference import evaluation_mode
from cnn_eval.quantized.execution_record import record_execution

__all__ = ["fold_batch_norms", "replace_module"]

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_TOLERANCE = 1e-3
"""How far outputs may move, of the largest: more than rounding means that the network was not what the run showed."""
_CHECKED_IMAGES = 8


def fold_batch_norms(model: nn.Module, images: torch.Tensor) -> tuple[nn.Module, list[str], dict[str, str]]:
    """(a folded copy, names of the batch normalisations that became Identity, name -> why others stay).

    `images`: as the network takes them; the first one is run through it to see what follows what.
    """
    result = copy.deepcopy(model).eval()
    names = {module: name for name, module in result.named_modules()}
    norms = {module: name for module, name in names.items() if isinstance(module, nn.modules.batchnorm._BatchNorm)}
    if not norms:
        return result, [], {}
    execution = record_execution(result, images)
    folded: list[str] = []
    for layer, norm in execution.only_reader.items():
        if norm in norms and _folds(layer, norm):
            _fold(layer, norm)
            replace_module(result, norms[norm], nn.Identity())
            folded.append(norms[norm])
    if not _same_outputs(model, result, images[:_CHECKED_IMAGES]):
        unfolded = copy.deepcopy(model).eval()
        return unfolded, [], dict.fromkeys(norms.values(), "folding it would change the network")
    left = {
        name: f"{type(norm).__name__} not directly behind a convolution or linear layer that it alone reads"
        for norm, name in norms.items()
        if name not in folded
    }
    return result, folded, left


def replace_module(model: nn.Module, name: str, replacement: nn.Module) -> None:
    """Puts another module in every place of the one called `name`."""
    original = model.get_submodule(name)
    for parent in list(model.modules()):
        for key, child in parent.named_children():
            if child is original:
                setattr(parent, key, replacement)


def _folds(layer: nn.Module, norm: nn.Module) -> bool:
    plain = type(layer) in (nn.Conv2d, nn.Linear) and type(norm) in _NORMS
    # Otherwise the channels of a linear layer's output [M, L, N] are the wrong axis, or there are no statistics.
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
    matching = type(norm) is (nn.BatchNorm2d if isinstance(layer, nn.Conv2d) else nn.BatchNorm1d)
    computed = "weight" not in dict(layer.named_parameters(recurse=False))
    return plain and matching and not computed and norm.running_mean is not None


def _fold(layer: nn.Module, norm: nn.Module) -> None:
    assert isinstance(layer, (nn.Conv2d, nn.Linear))
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    gamma = torch.ones_like(mean) if norm.weight is None else norm.weight.detach().double()
    beta = torch.zeros_like(mean) if norm.bias is None else norm.bias.detach().double()
    bias = torch.zeros_like(mean) if layer.bias is None else layer.bias.detach().double()
    factor = gamma / torch.sqrt(variance + norm.eps)
    weight = layer.weight.detach().double()
    folded = weight * factor.reshape(-1, *[1] * (weight.dim() - 1))
    # New parameters: another layer may share the old ones.
    layer.weight = nn.Parameter(folded.float(), requires_grad=layer.weight.requires_grad)
    layer.bias = nn.Parameter(((bias - mean) * factor + beta).float(), requires_grad=layer.weight.requires_grad)


def _same_outputs(model: nn.Module, folded: nn.Module, images: torch.Tensor) -> bool:
    with evaluation_mode(model, folded), torch.no_grad():
        before, after = model(images), folded(images)
    if not isinstance(before, torch.Tensor):
        return True
    difference = float((before - after).abs().max())
    # Written so that NaN, which both have, passes to the check of the calibration.
    return not difference > _TOLERANCE * float(before.abs().max())
