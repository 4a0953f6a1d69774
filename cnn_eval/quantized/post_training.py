"""`quantize`: post-training static quantisation of a torch network."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from circuits import DesignError
from circuits.errors import unknown_name
from circuits.support.cli import say
from cnn_eval.layers.approximate_layers import ApproximateConv2d, ApproximateLinear
from cnn_eval.layers.replaceable_layers import survey, unreplaced
from cnn_eval.quantized.accumulators import Accumulator
from cnn_eval.quantized.activation_histograms import observed_inputs
from cnn_eval.quantized.calibration import Observed, check_calibration, grid_for
from cnn_eval.quantized.execution_record import record_execution
from cnn_eval.quantized.folding import fold_batch_norms
from cnn_eval.quantized.quantized_layers import GRID_BUFFERS, make_quantized
from cnn_eval.quantized.schemes import SCHEMES, check_scheme, scheme_for

__all__ = ["FIRST_LAST", "quantize"]

Tensor = torch.Tensor
FIRST_LAST = ("quantized", "exact")
MINIMUM_BITS, MAXIMUM_BITS = 2, 16


def quantize(
    model: nn.Module,
    images: Tensor,
    *,
    scheme: str = "auto",
    bits: int | tuple[int, int] = 8,
    calibration: str = "percentile",
    first_last: str = "quantized",
    accumulator: Accumulator | None = None,
) -> nn.Module:
    """A copy of `model`, in evaluation mode, whose Conv2d and Linear layers compute with integers; exact until
    `approximate` gives it integer designs.

    Post-training static quantisation: batch normalisation is folded into the layer before it; activations get one scale
    a layer, from the `images` (float32 [N, C, H, W], as the network takes them, unlabelled), weights one scale an
    output channel. Codes are q = clamp(round_half_even(x / s) + z); values between layers stay float32.

    `scheme`: "int8" (symmetric, signed designs), "uint8" (affine, unsigned designs), "sign_magnitude" (magnitudes
    through unsigned designs), or "auto": int8, and uint8 once a layer gets an unsigned design. `bits`: 2 to 16, or
    (activation, weight), the widths of the designs. `calibration`: "percentile" (99.9 of |x|, or .1 and 99.9; all
    weights), "minmax", or "least_squares" (the range with the least squared error). `first_last`="exact" leaves the
    first and the last layer float. `accumulator`: limits the sums of all layers (None: exact sums).

    The result's attribute `kept_float` lists layer name -> why it stays float, printed as a note if there is any;
    `folded` names the batch normalisations that became identities. Raises DesignError for arguments that do not fit,
    images that are all the same, values that are not finite, and networks without a layer to quantise.
    """
    check_scheme(scheme)
    widths = _checked_bits(bits)
    check_calibration(calibration)
    if first_last not in FIRST_LAST:
        raise unknown_name("choice for the first and the last layer", first_last, FIRST_LAST)
    _check_images(images)
    if any(isinstance(module, (ApproximateConv2d, ApproximateLinear)) for module in model.modules()):
        raise DesignError(
            "the network to quantise must be float throughout, but has quantised or approximate layers; give the "
            "float network."
        )

    result: Any
    result, folded, kept = fold_batch_norms(model, images)
    kept |= unreplaced(result, images=images)
    layers = {name: layer for name, layer in survey(result)[0].items() if name not in kept}
    layers = {name: layers[name] for name in _in_order(result, layers, images)}
    if first_last == "exact":
        for name in dict.fromkeys((*list(layers)[:1], *list(layers)[-1:])):
            kept[name] = f"{type(layers.pop(name)).__name__}, first or last layer"
    observed = observed_inputs(result, layers, images)
    if not layers:
        raise DesignError(
            "the model must have a layer to quantise, but none of its Conv2d and Linear layers runs or can be "
            "quantised; see cnn_eval.unreplaced."
        )
    schemes = ("int8", scheme_for(signed=False)) if scheme == "auto" else (scheme,)
    for name, layer in layers.items():
        if not bool(layer.weight.isfinite().all()):
            raise DesignError(f"weights must be finite, but those of layer {name} are not; check them.")
        grids = {each: _grids(observed[name], layer.weight, each, widths, calibration) for each in schemes}
        first, *others = grids.items()
        make_quantized(layer, *first, bits=widths, accumulator=accumulator, other_grids=others[0] if others else None)
    result.folded, result.kept_float = folded, kept
    if kept:
        reasons = ", ".join(f"{name or 'the network'} ({reason})" for name, reason in kept.items())
        say(f"note: layers that stay float: {reasons}", file=sys.stderr)
    network: nn.Module = result
    return network


def _grids(
    inputs: Observed, weight: Tensor, scheme: str, widths: tuple[int, int], calibration: str
) -> dict[str, Tensor]:
    rows = weight.detach().cpu().flatten(1)
    weights = Observed(rows, torch.ones(rows.shape[1], dtype=torch.float64), weights=True)
    input_scale, input_zero = grid_for(inputs, SCHEMES[scheme], widths[0], calibration)
    weight_scale, weight_zero = grid_for(weights, SCHEMES[scheme], widths[1], calibration)
    values = (input_scale[0].clone(), input_zero[0].clone(), weight_scale, weight_zero)
    return {name: value.to(weight.device) for name, value in zip(GRID_BUFFERS, values, strict=True)}


def _in_order(model: nn.Module, layers: Mapping[str, nn.Module], images: Tensor) -> list[str]:
    """The names of the layers in the order in which they run; a module in several places has its first name."""
    names: dict[nn.Module, str] = {}
    for name, layer in layers.items():
        names.setdefault(layer, name)
    return [names[module] for module in record_execution(model, images).calls if module in names]


def _checked_bits(bits: int | tuple[int, int]) -> tuple[int, int]:
    widths = (bits, bits) if isinstance(bits, int) else tuple(bits)
    if len(widths) != 2 or not all(isinstance(w, int) and MINIMUM_BITS <= w <= MAXIMUM_BITS for w in widths):
        raise DesignError(
            f"bits must be {MINIMUM_BITS} to {MAXIMUM_BITS}, or a pair for activations and weights, but got {bits!r}; "
            "choose others."
        )
    return widths[0], widths[1]


def _check_images(images: Tensor) -> None:
    if not isinstance(images, Tensor) or images.dtype != torch.float32 or images.dim() < 2 or not images.numel():
        what = f"{images.dtype} {list(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise DesignError(f"calibration images must be a float32 tensor [N, C, H, W], but are {what}; convert them.")
    low, high = map(float, torch.aminmax(images))
    if low == high:
        raise DesignError(
            f"calibration images must differ from pixel to pixel, but every pixel is {low:g}; give real images."
        )
    if not bool(images.isfinite().all()):
        raise DesignError("calibration images must be finite, but hold nan or inf; check them.")
